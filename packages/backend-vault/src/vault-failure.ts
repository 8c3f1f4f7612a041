import { upstreamFailures } from "@mayfly/backend-kit";

/**
 * How a call of the API failed.
 *
 * `not_sent`: no byte of the request left. `refused`: the server answered 4xx or sent the caller
 * elsewhere, and did nothing. `busy`: 412, 429, 472 or 473. `lost`: no answer, half an answer, or
 * 5xx: anything may have happened.
 */
export class VaultFailure extends Error {
  override readonly name = "VaultFailure";
  readonly kind: "not_sent" | "refused" | "busy" | "lost";
  readonly status: number | null;
  readonly retryAfterSeconds: number | null;
  readonly sealed: boolean;
  constructor(
    kind: VaultFailure["kind"],
    message: string,
    more: {
      readonly status?: number;
      readonly retryAfterSeconds?: number | null;
      readonly sealed?: boolean;
    } = {},
  ) {
    super(message.slice(0, 200));
    this.kind = kind;
    this.status = more.status ?? null;
    this.retryAfterSeconds = more.retryAfterSeconds ?? null;
    this.sealed = more.sealed ?? false;
  }
}

/** Answers that mean "not now, and nothing was done". */
const BUSY: Readonly<Record<number, string>> = {
  412: "has not caught up with what it is asked about",
  429: "asks for fewer requests",
  472: "is a standby for disaster recovery",
  473: "is a standby",
};

/**
 * Of an answer that is none that was hoped for. The server's texts are left out: those of an
 * engine quote statements, and what was put into them.
 */
export function failureOfAnswer(
  status: number,
  retryAfterSeconds: number | null,
  sealed: boolean,
): VaultFailure {
  const more = { status, retryAfterSeconds, sealed };
  if (status in BUSY) return new VaultFailure("busy", `status ${status}`, more);
  const isRefused = status >= 300 && status < 500;
  return new VaultFailure(isRefused ? "refused" : "lost", `status ${status}`, more);
}

const failureOf = (thrown: unknown): VaultFailure =>
  thrown instanceof VaultFailure ? thrown : new VaultFailure("lost", "an answer of another shape");

function reasonOf({ kind, status, sealed }: VaultFailure): string {
  if (sealed) return "the server is sealed, so what was sent may or may not have happened";
  switch (kind) {
    case "not_sent":
      return "the server could not be reached; nothing was sent";
    case "refused":
      return status !== null && status < 400
        ? `the server sends callers to another node (status ${status}); name the active one, or ` +
            "a load balancer that finds it"
        : `the server refused with status ${status}`;
    case "busy":
      return `the server ${BUSY[status ?? 0] ?? "is busy"}`;
    case "lost":
      return status === null
        ? "no answer came in time, so what was sent may have happened"
        : `the server failed with status ${status}, so what was sent may have happened`;
  }
}

export const failures = upstreamFailures("Vault", failureOf, (failure) => ({
  reason: reasonOf(failure),
  effect: failure.kind === "lost" ? "unknown" : "none",
  retrySeconds:
    failure.kind === "refused" && (failure.status ?? 0) >= 400
      ? null
      : (failure.retryAfterSeconds ?? 2),
  upstreamFails: failure.kind !== "refused",
  throttled: failure.status === 429,
  hint: failure.message,
}));

export const { unfinished } = failures;
