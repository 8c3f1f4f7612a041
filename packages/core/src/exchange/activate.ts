import {
  BrokerError,
  Secret,
  bindingOf,
  type ActivateResult,
  type Activation,
  type CallContext,
  type Issued,
} from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { destroyInHand } from "../destroy-in-hand.ts";
import { endLeaseQuietly } from "../end-lease.ts";
import type { Reserved } from "./issue.ts";

/**
 * Step 8: makes the lease durable as active. Returns only when it is; then, and not before, may the
 * secret leave. Everything else throws, after the credential was destroyed by the handle in hand
 * or, where that is not known to be right, its end was asked for.
 */
export async function activate(
  parts: CoreParts,
  reserved: Reserved,
  issued: Issued,
  context: CallContext,
): Promise<void> {
  const { ports } = parts;
  const { intent, permitted } = reserved;
  const minted = {
    leaseId: intent.id,
    registered: permitted.target.registered,
    handle: issued.handle,
  };
  let activation: Activation;
  try {
    activation = await sealed(parts, reserved, issued);
  } catch (error) {
    await endLeaseQuietly(parts, intent.id, "its handle could not be sealed");
    await destroyInHand(parts, minted, context.traceId);
    throw error;
  }
  const result = await record(parts, reserved, activation);
  await ports.failPoints.reached("activate.after");
  switch (result.kind) {
    case "active":
      return;
    case "withheld":
    case "refused":
      await destroyInHand(parts, minted, context.traceId);
      throw await withheldError(parts, reserved, result);
    case "unknown":
      await endLeaseQuietly(parts, intent.id, "the outcome of activate is unknown");
      await destroyInHand(parts, minted, context.traceId);
      throw new BrokerError(
        "ledger_unavailable",
        "The ledger did not confirm the lease; the credential is withheld and ended.",
        { where: intent.role, retryAfterSeconds: 1, cause: result.cause },
      );
  }
}

async function sealed(
  parts: CoreParts,
  { intent, permitted }: Reserved,
  issued: Issued,
): Promise<Activation> {
  const { sealer } = parts.ports;
  const marked = issued.material[issued.fingerprintOf];
  if (!(marked instanceof Secret)) {
    throw new BrokerError("internal", "an issued credential has no secret to fingerprint");
  }
  return {
    expiresAt: issued.expiresAt,
    sealedHandle: await sealer.seal(issued.handle, bindingOf.leaseHandle(intent.id)),
    fingerprint: sealer.fingerprint(marked),
    outlivesLease: permitted.target.type.capabilities.standingSecret === true,
  };
}

type Recorded = ActivateResult | { readonly kind: "unknown"; readonly cause: unknown };

/** A lost acknowledgement is looked into: the commit may have happened. */
async function record(
  parts: CoreParts,
  { intent, handle }: Reserved,
  activation: Activation,
): Promise<Recorded> {
  const { issueLedger, taskLedger, log } = parts.ports;
  try {
    return await issueLedger.activate(handle, activation);
  } catch (cause) {
    log.warn("activate was not acknowledged: reading the lease", { lease: intent.id }, cause);
    try {
      const lease = await taskLedger.lease(intent.id);
      const isOurs = lease?.state === "active" && lease.fingerprint === activation.fingerprint;
      if (isOurs) return { kind: "active", lease: { id: intent.id, state: "active", version: -1 } };
    } catch (unread) {
      log.warn("the lease could not be read either", { lease: intent.id }, unread);
    }
    return { kind: "unknown", cause };
  }
}

async function withheldError(
  parts: CoreParts,
  { intent, permitted }: Reserved,
  result: Exclude<ActivateResult, { kind: "active" }>,
): Promise<BrokerError> {
  const where = intent.role;
  if (result.kind === "refused") {
    return new BrokerError(
      "backend_unavailable",
      `${intent.backendId} took too long to mint ${permitted.target.role.name}; it was destroyed.`,
      { where, retryAfterSeconds: 1 },
    );
  }
  const code = (await isTaskEnding(parts, intent.id)) ? "task_ended" : "conflict";
  return new BrokerError(code, `The credential was withheld and ended: ${result.reason}.`, {
    where,
  });
}

async function isTaskEnding(parts: CoreParts, leaseId: Reserved["intent"]["id"]): Promise<boolean> {
  const { taskLedger } = parts.ports;
  try {
    const lease = await taskLedger.lease(leaseId);
    const task =
      lease === null || lease.taskId === null ? null : await taskLedger.find(lease.taskId);
    return task !== null && (task.state !== "active" || task.endRequested);
  } catch {
    // Only the words of the refusal hang on it.
    return false;
  }
}
