import { BackendError, durationSeconds } from "@mayfly/spec";

/**
 * How a call of the management API failed.
 *
 * `not_sent`: no byte of the request left. `refused`: the API answered 4xx, and did nothing.
 * `busy`: 429. `lost`: no answer, half an answer, or 5xx: anything may have happened.
 */
export class RabbitFailure extends Error {
  override readonly name = "RabbitFailure";
  readonly kind: "not_sent" | "refused" | "busy" | "lost";
  readonly status: number | null;
  readonly retryAfterSeconds: number | null;
  constructor(
    kind: RabbitFailure["kind"],
    message: string,
    more: { readonly status?: number; readonly retryAfterSeconds?: number | null } = {},
  ) {
    super(message.slice(0, 500));
    this.kind = kind;
    this.status = more.status ?? null;
    this.retryAfterSeconds = more.retryAfterSeconds ?? null;
  }
}

export const failureOf = (thrown: unknown): RabbitFailure =>
  thrown instanceof RabbitFailure
    ? thrown
    : new RabbitFailure("lost", thrown instanceof Error ? thrown.message : "unknown failure");

function publicReason({ kind, status }: RabbitFailure): string {
  switch (kind) {
    case "not_sent":
      return "the management API could not be reached; nothing was sent";
    case "refused":
      return `the management API refused with status ${status}`;
    case "busy":
      return "the management API asks for fewer requests";
    case "lost":
      return status === null
        ? "no answer came in time, so what was sent may have happened"
        : `the management API failed with status ${status}, so what was sent may have happened`;
  }
}

/** The public form: what was tried and why it failed; the server's own words only as `cause`. */
export function toBackendError(
  thrown: unknown,
  what: string,
  effect?: "none" | "unknown",
): BackendError {
  if (BackendError.isBackendError(thrown)) return thrown;
  const failure = failureOf(thrown);
  const seconds = durationSeconds(failure.retryAfterSeconds ?? 2);
  return new BackendError(`RabbitMQ, ${what}: ${publicReason(failure)}`, {
    cause: failure,
    effect: effect ?? (failure.kind === "lost" ? "unknown" : "none"),
    retry: failure.kind === "refused" ? { kind: "never" } : { kind: "after", seconds },
    upstreamFails: failure.kind !== "refused",
  });
}

/** For those who register a backend: the cause in its own words. To them it is no secret. */
export function toSelfCheckError(thrown: unknown): BackendError {
  if (BackendError.isBackendError(thrown)) return thrown;
  const failure = failureOf(thrown);
  return new BackendError(`RabbitMQ, self-check: ${publicReason(failure)}`, {
    cause: failure,
    effect: "none",
    retry: { kind: "after", seconds: durationSeconds(2) },
    public: { hint: failure.message },
  });
}

/** For what cannot be finished now, in words of our own. */
export const unfinished = (what: string, seconds = 5): BackendError =>
  new BackendError(`RabbitMQ, ${what}`, {
    effect: "unknown",
    retry: { kind: "after", seconds: durationSeconds(seconds) },
  });
