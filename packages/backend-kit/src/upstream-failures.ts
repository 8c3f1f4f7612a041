import { BackendError, durationSeconds, type IssueContext } from "@mayfly/spec";
import { refuseAborted, refusePast } from "./refuse-late.ts";

type Effect = BackendError["effect"];

/** What one failure of a type's own driver means. */
export interface FailureMeaning {
  /** Ends the sentence `PostgreSQL, issue: …`. Public: no text of the upstream, no secret. */
  readonly reason: string;
  readonly effect: Effect;
  /** Seconds after which it may go better; null: never. */
  readonly retrySeconds: number | null;
  /** See {@link BackendError.upstreamFails}. */
  readonly upstreamFails: boolean;
  /** See {@link BackendError.throttled}; left out: no. */
  readonly throttled?: boolean;
  /** In the upstream's own words, without secrets: for those who register a backend alone. */
  readonly hint?: string;
}

/** How the failures of one upstream become errors: their public form, with the cause inside. */
export interface UpstreamFailures {
  /** How messages call the upstream: `PostgreSQL`. */
  readonly name: string;
  /**
   * What is a `BackendError` already stays as it is. `effect` is for a caller who knows more of it
   * than the failure: nothing was made yet, or something is there already.
   */
  readonly toBackendError: (thrown: unknown, what: string, effect?: Effect) => BackendError;
  /** As {@link toBackendError}, and says so of a `BackendError` too. */
  readonly withEffect: (thrown: unknown, what: string, effect: Effect) => BackendError;
  /** For those who register a backend: the hint is shown. To them it is no secret. */
  readonly toSelfCheckError: (thrown: unknown) => BackendError;
  /** For what cannot be finished now, in words of our own. */
  readonly unfinished: (what: string, seconds?: number) => BackendError;
  /** Of an issue: it is this lease's own tombstone or account, and somebody has to look at it. */
  readonly nameTaken: (thing: string, cause?: unknown) => BackendError;
  /** Of a renewal: there is nothing left to renew. */
  readonly gone: (thing: string) => BackendError;
  /** I4, I2. Before the first byte, and again wherever what is to be sent has waited. */
  readonly refuseLate: (context: IssueContext, what: string) => void;
}

/**
 * @param failureOf makes the driver's own failure of whatever was thrown
 * @param meaningOf what that means
 */
export function upstreamFailures<F extends Error>(
  name: string,
  failureOf: (thrown: unknown) => F,
  meaningOf: (failure: F) => FailureMeaning,
): UpstreamFailures {
  const toBackendError: UpstreamFailures["toBackendError"] = (thrown, what, effect) => {
    if (BackendError.isBackendError(thrown)) return thrown;
    const cause = failureOf(thrown);
    const meaning = meaningOf(cause);
    return new BackendError(`${name}, ${what}: ${meaning.reason}`, {
      cause,
      effect: effect ?? meaning.effect,
      retry: retryAfter(meaning.retrySeconds),
      upstreamFails: meaning.upstreamFails,
      throttled: meaning.throttled ?? false,
    });
  };
  return {
    name,
    toBackendError,
    withEffect: (thrown, what, effect) => {
      const error = toBackendError(thrown, what, effect);
      if (error.effect === effect) return error;
      const { message, retry, upstreamFails, throttled } = error;
      return new BackendError(message, { cause: error, effect, retry, upstreamFails, throttled });
    },
    toSelfCheckError: (thrown) => {
      if (BackendError.isBackendError(thrown)) return thrown;
      const cause = failureOf(thrown);
      const { reason, hint, retrySeconds } = meaningOf(cause);
      return new BackendError(`${name}, self-check: ${reason}`, {
        cause,
        effect: "none",
        retry: retryAfter(hint === undefined ? retrySeconds : (retrySeconds ?? 2)),
        ...(hint === undefined ? {} : { public: { hint } }),
      });
    },
    unfinished: (what, seconds = 5) =>
      new BackendError(`${name}, ${what}`, { effect: "unknown", retry: retryAfter(seconds) }),
    nameTaken: (thing, cause) =>
      new BackendError(`${name}, issue: ${thing} of this lease's name exists already`, {
        effect: "unknown",
        retry: { kind: "never" },
        ...(cause === undefined ? {} : { cause }),
      }),
    gone: (thing) =>
      new BackendError(`${name}, renew: ${thing} is gone`, {
        effect: "none",
        retry: { kind: "never" },
      }),
    refuseLate: (context, what) => {
      refusePast(context, `${name}, ${what}`);
      refuseAborted(context, `${name}, ${what}`);
    },
  };
}

const retryAfter = (seconds: number | null): BackendError["retry"] =>
  seconds === null ? { kind: "never" } : { kind: "after", seconds: durationSeconds(seconds) };
