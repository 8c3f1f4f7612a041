import { upstreamFailures, type UpstreamFailures } from "@mayfly/backend-kit";
import { BackendError, durationSeconds } from "@mayfly/spec";
import { WITHOUT_TLS, type Obstacle } from "./obstacle.ts";

/**
 * How a call to the server failed.
 *
 * `not_sent`: no byte of the statement left (no connection, no free slot, aborted before).
 * `refused`: the server answered with an error, so its transaction did not commit; `sqlstate` says
 * why (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 * `lost`: sent, and no answer came: connection cut, deadline, aborted. Anything may have happened.
 */
export class PgFailure extends Error {
  override readonly name = "PgFailure";
  readonly kind: "not_sent" | "refused" | "lost";
  readonly sqlstate: string | null;
  /** Of `not_sent`: why there is no session, where that is known. */
  readonly obstacle: Obstacle | null;
  constructor(
    kind: PgFailure["kind"],
    message: string,
    sqlstate: string | null = null,
    obstacle: Obstacle | null = null,
  ) {
    super(message);
    this.kind = kind;
    this.sqlstate = sqlstate;
    this.obstacle = obstacle;
  }
}

/** Our own queue was full, or the call was over: it says nothing of the server. */
export class PgNotTried extends PgFailure {
  constructor(message: string) {
    super("not_sent", message);
  }
}

export const SQLSTATE = {
  dependentObjects: "2BP01",
  undefinedObject: "42704",
  duplicateObject: "42710",
  uniqueViolation: "23505",
  deadlock: "40P01",
  serialization: "40001",
  lockTimeout: "55P03",
  cancelled: "57014",
  internal: "XX000",
  /** The server's lock table is full, as a rule. */
  outOfMemory: "53200",
  /** Ours, raised by our DO blocks: a class that the standard leaves to implementations. */
  pastDeadline: "MF001",
  leaseGone: "MF002",
} as const;

/** A verifier is the one secret that our statements hold; a message may quote a statement. */
export const scrub = (text: string): string =>
  text.replaceAll(/SCRAM-SHA-256\$[^\s'"]*/g, "[verifier]").slice(0, 500);

const CONNECTION_TROUBLE = /^(08|53|57P)/;

/**
 * Two sessions changed one catalog row at the same moment, or one dropped what the other looked at:
 * certainly no effect, and worth another try. PostgreSQL has no code of its own for it: it says
 * XX000 with texts ("tuple concurrently updated", "could not find tuple for role …", "cache lookup
 * failed") in the server's language, so every XX000 counts. Tries are bounded by who asks.
 */
export const isConcurrentChange = (failure: PgFailure): boolean =>
  failure.kind === "refused" &&
  (failure.sqlstate === SQLSTATE.deadlock ||
    failure.sqlstate === SQLSTATE.serialization ||
    failure.sqlstate === SQLSTATE.internal);

export function pgFailureOf(thrown: unknown): PgFailure {
  return thrown instanceof PgFailure
    ? thrown
    : new PgFailure("lost", scrub(thrown instanceof Error ? thrown.message : "unknown failure"));
}

const passing = (failure: PgFailure): boolean =>
  failure.kind !== "refused" ||
  isConcurrentChange(failure) ||
  failure.sqlstate === SQLSTATE.lockTimeout ||
  failure.sqlstate === SQLSTATE.cancelled ||
  failure.sqlstate === SQLSTATE.pastDeadline ||
  CONNECTION_TROUBLE.test(failure.sqlstate ?? "");

/** No answer, or no resources, or it goes away: more than one statement that did not pass. */
const serverFails = (failure: PgFailure): boolean =>
  failure.kind === "refused"
    ? CONNECTION_TROUBLE.test(failure.sqlstate ?? "")
    : !(failure instanceof PgNotTried);

/** A name or host in a message of the server stays in the log; the SQLSTATE may be shown. */
function reasonOf(failure: PgFailure): string {
  switch (failure.kind) {
    case "not_sent":
      return failure.obstacle === WITHOUT_TLS
        ? WITHOUT_TLS.what
        : "the server could not be reached, or was too busy; nothing was sent";
    case "lost":
      return "no answer came in time, so what was sent may have happened";
    case "refused":
      return `the server refused with SQLSTATE ${failure.sqlstate ?? "unknown"}`;
  }
}

/** The server's own words are in the cause alone. */
const common = upstreamFailures("PostgreSQL", pgFailureOf, (failure) => ({
  reason: reasonOf(failure),
  effect: failure.kind === "lost" ? "unknown" : "none",
  retrySeconds: passing(failure) ? 2 : null,
  upstreamFails: serverFails(failure),
}));
export const failures: UpstreamFailures = { ...common, toSelfCheckError };
export const { unfinished } = failures;

/** For those who register a backend: which setting is wrong. To them it is no secret. */
function toSelfCheckError(thrown: unknown): BackendError {
  const failure = BackendError.isBackendError(thrown) ? thrown : pgFailureOf(thrown);
  const obstacle = failure instanceof PgFailure ? failure.obstacle : null;
  if (obstacle === null) return common.toBackendError(thrown, "self-check");
  return new BackendError(`PostgreSQL, self-check: ${obstacle.what}`, {
    cause: failure,
    effect: "none",
    retry: obstacle.lasting ? { kind: "never" } : { kind: "after", seconds: durationSeconds(2) },
    public: { hint: obstacle.fix },
  });
}
