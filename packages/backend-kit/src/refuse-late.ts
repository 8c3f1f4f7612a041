import { BackendError, durationSeconds, type CallContext, type IssueContext } from "@mayfly/spec";

/** I4. Call it before the first byte, and again wherever what is to be sent has waited. */
export function refusePast(context: IssueContext, what: string): void {
  if (context.clock.now() > context.issueBy) {
    throw notSent(`${what}: past its deadline; nothing was sent`);
  }
}

/** I2. What was aborted before it was sent had no effect, and says so. */
export function refuseAborted(context: CallContext, what: string): void {
  if (context.signal.aborted) throw notSent(`${what}: aborted before anything was sent`);
}

/** For what certainly did not leave this process; worth another try. */
export const notSent = (message: string, seconds = 1, cause?: unknown): BackendError =>
  new BackendError(message, {
    cause,
    effect: "none",
    retry: { kind: "after", seconds: durationSeconds(seconds) },
  });
