import { upstreamFailures } from "@mayfly/backend-kit";

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

const failureOf = (thrown: unknown): RabbitFailure =>
  thrown instanceof RabbitFailure
    ? thrown
    : new RabbitFailure("lost", thrown instanceof Error ? thrown.message : "unknown failure");

function reasonOf({ kind, status }: RabbitFailure): string {
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

/** The hint is the cause in the API's own words. */
export const failures = upstreamFailures("RabbitMQ", failureOf, (failure) => ({
  reason: reasonOf(failure),
  effect: failure.kind === "lost" ? "unknown" : "none",
  retrySeconds: failure.kind === "refused" ? null : (failure.retryAfterSeconds ?? 2),
  upstreamFails: failure.kind !== "refused",
  throttled: failure.kind === "busy",
  hint: failure.message,
}));
export const { unfinished } = failures;
