import {
  BackendError,
  BrokerError,
  Secret,
  bindingOf,
  type CallContext,
  type IssueContext,
  type Issued,
  type LeaseHandle,
  type LeaseIntent,
  type TaskId,
} from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { destroyInHand } from "../destroy-in-hand.ts";
import { endLeaseQuietly } from "../end-lease.ts";
import { wakeAt } from "../wake.ts";
import { withDeadline } from "../with-deadline.ts";
import type { Permitted } from "./judge.ts";

/** A reserved lease with all that minting it needs. */
export interface Reserved {
  readonly taskId: TaskId;
  readonly permitted: Permitted;
  readonly intent: LeaseIntent;
  readonly handle: LeaseHandle<"reserved">;
}

/**
 * Step 7: the one call that creates. Never repeated. A failure throws, after the reservation was
 * dropped (effect none) or left for `recover` (effect unknown, and any surprise).
 */
export async function issue(
  parts: CoreParts,
  reserved: Reserved,
  context: CallContext,
): Promise<Issued> {
  const { ports } = parts;
  const { permitted, intent } = reserved;
  const { registered, type } = permitted.target;
  const { issueBy } = intent;
  await ports.failPoints.reached("issue.before");
  const untilMs = issueBy + type.capabilities.issueCallSecondsMax * 1000 - ports.clock.now();
  const what = `issue at ${intent.backendId}`;
  let issued: Issued;
  try {
    issued = await withDeadline(
      { clock: ports.clock, seconds: untilMs / 1000, signal: context.signal, what },
      async (signal) =>
        parts.issuePlaces.run(registered.id, () =>
          parts.openBackends.use(registered, (open) =>
            open.issue(permitted.plan, issueContext(parts, reserved, context, signal)),
          ),
        ),
    );
  } catch (error) {
    await giveUp(parts, reserved, error);
    throw publicError(reserved, error);
  }
  await ports.failPoints.reached("issue.after");
  const broken = brokenContract(permitted, issued);
  if (broken === null) return issued;
  await endLeaseQuietly(parts, intent.id, broken);
  const minted = { leaseId: intent.id, registered, handle: issued.handle };
  await destroyInHand(parts, minted, context.traceId);
  throw new BrokerError("internal", `backend type ${type.type}: ${broken}`);
}

function issueContext(
  parts: CoreParts,
  reserved: Reserved,
  context: CallContext,
  signal: AbortSignal,
): IssueContext {
  const { clock, sealer, issueLedger } = parts.ports;
  return {
    clock,
    signal,
    traceId: context.traceId,
    taskId: reserved.taskId,
    issueBy: reserved.intent.issueBy,
    checkpoint: async (handle) => {
      const sealed = await sealer.seal(handle, bindingOf.leaseHandle(reserved.intent.id));
      await issueLedger.checkpoint(reserved.handle, sealed);
    },
  };
}

/** Drops what certainly was not made; leaves the rest to `recover`, marked to be withheld. */
async function giveUp(parts: CoreParts, reserved: Reserved, error: unknown): Promise<void> {
  const { ports } = parts;
  const { intent, handle } = reserved;
  const fields = { lease: intent.id, backend: intent.backendId };
  if (isCertainlyNothing(error)) {
    ports.log.warn("issue failed without effect", fields, error);
    try {
      await ports.issueLedger.abandon(handle, messageOf(error));
    } catch (failure) {
      ports.log.warn("a reservation was not dropped: recover will settle it", fields, failure);
    }
    return;
  }
  ports.log.warn("issue failed with an unknown effect: recover will settle it", fields, error);
  await endLeaseQuietly(parts, intent.id, "the outcome of issue is unknown");
  const { id: leaseId, backendId, settleBy: at } = intent;
  wakeAt(parts, { leaseId, backendId, at, generation: 0 });
}

/** An unopened backend was not asked either. */
const isCertainlyNothing = (error: unknown): boolean =>
  BackendError.isBackendError(error)
    ? error.effect === "none"
    : BrokerError.is(error) && error.code === "config_invalid";

const messageOf = (error: unknown): string =>
  BrokerError.is(error) ? error.message : "unexpected failure";

function publicError({ intent }: Reserved, error: unknown): BrokerError {
  if (BrokerError.is(error)) return error;
  return new BrokerError("internal", `Minting ${intent.role} failed.`, {
    where: intent.backendId,
    cause: error,
  });
}

/** What `issue` owes; a credential that breaks it is never handed out. */
function brokenContract(permitted: Permitted, issued: Issued): string | null {
  if (issued.expiresAt > permitted.plan.expiresAt) return "issued for longer than was planned";
  const marked = issued.material[issued.fingerprintOf];
  return marked instanceof Secret ? null : "issued without the secret that is to be fingerprinted";
}
