import {
  BrokerError,
  type BackendId,
  type CallContext,
  type Clock,
  type JsonObject,
  type OpenBackend,
  type SelfCheck,
} from "@mayfly/spec";
import { withDeadline } from "../with-deadline.ts";

const CHECK_SECONDS_MAX = 30;

/** Asks the backend to prove its rights for these role settings, bounded. */
export function selfCheck(
  clock: Clock,
  id: BackendId,
  open: OpenBackend,
  roles: readonly JsonObject[],
  context: CallContext,
): Promise<SelfCheck> {
  const what = `self-check of ${id}`;
  return withDeadline(
    { clock, seconds: CHECK_SECONDS_MAX, signal: context.signal, what },
    (signal) => open.selfCheck(roles, { ...context, signal }),
  );
}

/** Throws `check_failed` that lists each problem with what to do about it. */
export function requireSound(id: BackendId, check: Pick<SelfCheck, "problems">): void {
  const [first] = check.problems;
  if (first === undefined) return;
  const more = check.problems.length - 1;
  const problems = check.problems.map(({ code, what, fix }): JsonObject => ({ code, what, fix }));
  throw new BrokerError(
    "check_failed",
    `backend ${id}: ${first.what} To do: ${first.fix}${more > 0 ? ` (and ${more} more)` : ""}`,
    { where: id, public: { problems } },
  );
}
