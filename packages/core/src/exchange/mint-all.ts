import { BrokerError, type Actor, type CallContext, type Issued, type TaskId } from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { credentialPath } from "../descriptor/task-details.ts";
import { endLeaseQuietly } from "../end-lease.ts";
import { mapBounded } from "../map-bounded.ts";
import { wakeAt, wakeNow } from "../wake.ts";
import { activate } from "./activate.ts";
import type { IssuedCredential } from "./exchange-request.ts";
import { issue, type Reserved } from "./issue.ts";
import { step } from "./step.ts";

/** Of one request, under way at once. */
const ISSUES_MAX = 4;

type Minted =
  | { readonly ok: true; readonly credential: IssuedCredential }
  | { readonly ok: false; readonly reserved: Reserved; readonly error: unknown };

/**
 * Steps 7 to 9 for all credentials of one exchange: all of them or none. When one fails, those not
 * begun are dropped, the others ended, and a task that this exchange alone opened (`opened`) ends
 * `failed`.
 */
export async function mintAll(
  parts: CoreParts,
  reserved: readonly Reserved[],
  opened: TaskId | null,
  context: CallContext,
): Promise<readonly IssuedCredential[]> {
  let failed = false;
  const results = await mapBounded(reserved, ISSUES_MAX, async (one): Promise<Minted> => {
    try {
      if (failed) return await dropUnbegun(parts, one);
      return { ok: true, credential: await mintOne(parts, one, context) };
    } catch (error) {
      failed = true;
      return { ok: false, reserved: one, error };
    }
  });
  const failure = results.find((result) => !result.ok && !(result.error instanceof NotBegun));
  if (failure === undefined || failure.ok) {
    return results.flatMap((result) => (result.ok ? [result.credential] : []));
  }
  const reason = `another credential of the same exchange failed`;
  for (const result of results) {
    if (result.ok) await endLeaseQuietly(parts, result.credential.lease, reason);
  }
  if (opened !== null) await failTask(parts, opened, failure.reserved);
  throw namedError(failure.reserved, failure.error, reserved.length);
}

async function mintOne(
  parts: CoreParts,
  reserved: Reserved,
  context: CallContext,
): Promise<IssuedCredential> {
  const { id: leaseId, backendId } = reserved.intent;
  const { tracer } = parts.ports;
  const of = { "mayfly.lease.id": leaseId, "mayfly.backend.id": backendId };
  const issued = await tracer.span(step("issue", of), () => issue(parts, reserved, context));
  await tracer.span(step("activate", of), () => activate(parts, reserved, issued, context));
  wakeAt(parts, { leaseId, backendId, at: issued.expiresAt, generation: 0 });
  await parts.ports.failPoints.reached("schedule.after");
  return credentialOf(reserved, issued);
}

function credentialOf({ permitted, intent }: Reserved, issued: Issued): IssuedCredential {
  const { capabilities } = permitted.target.type;
  return {
    lease: intent.id,
    role: intent.role,
    kind: capabilities.credentialKind,
    expiresAt: issued.expiresAt,
    expiryEnforcedBy: capabilities.expiryEnforcedBy,
    revocation: capabilities.revocation,
    material: issued.material,
  };
}

/** Of a credential that was not asked for because another one had failed by then. */
class NotBegun extends Error {
  override readonly name = "NotBegun";
}

async function dropUnbegun(parts: CoreParts, reserved: Reserved): Promise<never> {
  const why = "another credential of the same exchange failed";
  try {
    await parts.ports.issueLedger.abandon(reserved.handle, why);
  } catch (error) {
    const fields = { lease: reserved.intent.id };
    parts.ports.log.warn("a reservation was not dropped: recover settles it", fields, error);
  }
  throw new NotBegun(why);
}

/** An agent that got nothing from it has no use for the task. Best effort: it would end idle. */
async function failTask(parts: CoreParts, taskId: TaskId, culprit: Reserved): Promise<void> {
  const { taskLedger, log } = parts.ports;
  const actor: Actor = { kind: "system", name: "broker" };
  const reason = `minting ${culprit.intent.role} failed`;
  try {
    await taskLedger.requestEnd({ taskId, state: "failed", actor, reason });
    const applied = await taskLedger.applyEnd(taskId);
    wakeNow(
      parts,
      applied.leases.map(({ backendId }) => backendId),
    );
  } catch (error) {
    log.warn("a task whose opening failed could not be ended", { task: taskId }, error);
  }
}

function namedError(reserved: Reserved, error: unknown, count: number): BrokerError {
  const where = credentialPath(reserved.permitted.wanted.index);
  if (!BrokerError.is(error)) {
    return new BrokerError("internal", `Minting ${reserved.intent.role} failed.`, {
      where,
      cause: error,
    });
  }
  const others = count > 1 ? "; the other credentials of this request were ended" : "";
  const retry = error.retryAfterSeconds;
  const text = error.message.replace(/\.$/, "");
  return new BrokerError(error.code, `${reserved.intent.role}: ${text}${others}.`, {
    where,
    public: error.public,
    cause: error,
    ...(retry === null ? {} : { retryAfterSeconds: retry }),
  });
}
