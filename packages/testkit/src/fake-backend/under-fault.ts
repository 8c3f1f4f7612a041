import { BackendError, BrokerError, durationSeconds, type CallContext } from "@mayfly/spec";
import type { FakeOperation, FakeUpstream } from "./fake-upstream.ts";

export interface UpstreamCall {
  readonly upstream: FakeUpstream;
  /** Rejects after `close`. */
  requireOpen(): void;
}

export const noEffect = (message: string): BackendError =>
  new BackendError(message, {
    effect: "none",
    retry: { kind: "after", seconds: durationSeconds(1) },
  });
export const unknownEffect = (message: string): BackendError =>
  new BackendError(message, {
    effect: "unknown",
    retry: { kind: "after", seconds: durationSeconds(1) },
  });
const failing = (effect: BackendError["effect"], message: string): BackendError =>
  new BackendError(message, {
    effect,
    retry: { kind: "after", seconds: durationSeconds(1) },
    upstreamFails: true,
  });
const throttled = (message: string, seconds: number): BackendError =>
  new BackendError(message, {
    effect: "none",
    retry: { kind: "after", seconds: durationSeconds(seconds) },
    upstreamFails: true,
    throttled: true,
  });

/**
 * Runs `act` under the operation's next fault. `act` is the whole of what the upstream does, so
 * that it happens or does not.
 */
export async function underFault<T>(
  call: UpstreamCall,
  operation: FakeOperation,
  name: string,
  context: CallContext,
  act: { readonly effect: () => T; readonly pretended: () => T },
): Promise<T> {
  call.requireOpen();
  const { upstream } = call;
  if (context.signal.aborted) throw noEffect(`${operation}: aborted before anything was sent`);
  upstream.calls.push({ operation, name });
  const fault = upstream.takeFault(operation);
  switch (fault) {
    case null:
      return act.effect();
    case "refuse":
      throw new BackendError(`${operation}: the upstream refused`, {
        effect: "none",
        retry: { kind: "never" },
      });
    case "unavailable":
      throw failing("none", `${operation}: the upstream is unavailable`);
    case "timeout_without_effect":
      throw failing("unknown", `${operation}: timed out`);
    case "timeout_with_effect":
      act.effect();
      throw failing("unknown", `${operation}: timed out`);
    case "late_effect":
      upstream.postpone(act.effect);
      throw failing("unknown", `${operation}: timed out`);
    case "reset_after_effect":
      act.effect();
      throw failing("unknown", `${operation}: the connection was reset`);
    case "rate_limited":
      throw throttled(`${operation}: 429, too many requests`, 3);
    case "internal_error":
      throw failing("unknown", `${operation}: 500, internal error`);
    case "twice":
      return twice(act.effect);
    case "hang":
      return hang(operation, context);
    case "pretend":
      return act.pretended();
  }
}

/** A request that the network repeated: the answer to the second reaches nobody. */
function twice<T>(effect: () => T): T {
  const answer = effect();
  try {
    effect();
  } catch (refusal) {
    if (!BrokerError.is(refusal)) throw refusal;
  }
  return answer;
}

function hang(operation: FakeOperation, context: CallContext): Promise<never> {
  return new Promise((_resolve, reject) => {
    context.signal.addEventListener(
      "abort",
      () => reject(unknownEffect(`${operation}: aborted after it was sent`)),
      { once: true },
    );
  });
}
