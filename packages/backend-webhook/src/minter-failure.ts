import { upstreamFailures } from "@mayfly/backend-kit";

/**
 * How a call of the minter failed.
 *
 * `not_sent`: no byte of the request left. `busy`: 429, or it asks for patience. `declined`: the
 * minter says that it did nothing, and why, in a code of its own. `lost`: no answer, one of another
 * form or status, or one that says that the effect is unknown.
 */
export class MinterFailure extends Error {
  override readonly name = "MinterFailure";
  readonly kind: "not_sent" | "busy" | "declined" | "lost";
  readonly retrySeconds: number;
  constructor(kind: MinterFailure["kind"], message: string, retrySeconds = 2) {
    super(message);
    this.kind = kind;
    this.retrySeconds = retrySeconds;
  }
}

const failureOf = (thrown: unknown): MinterFailure =>
  thrown instanceof MinterFailure ? thrown : new MinterFailure("lost", "unknown failure");

/** Messages are ours; of the minter's words they hold a code alone. */
export const failures = upstreamFailures("Webhook", failureOf, (failure) => ({
  reason: failure.message,
  effect: failure.kind === "lost" ? "unknown" : "none",
  retrySeconds: failure.kind === "declined" ? null : failure.retrySeconds,
  upstreamFails: failure.kind !== "declined",
  throttled: failure.kind === "busy",
}));
