import { upstreamFailures } from "@mayfly/backend-kit";

/**
 * How a call to the server failed.
 *
 * `not_sent`: no byte of the statement left. `refused`: the server answered with an error, so that
 * statement did nothing; `errno` says why. `lost`: sent, and no answer came.
 */
export class MysqlFailure extends Error {
  override readonly name = "MysqlFailure";
  readonly kind: "not_sent" | "refused" | "lost";
  readonly errno: number | null;
  constructor(kind: MysqlFailure["kind"], message: string, errno: number | null = null) {
    super(message);
    this.kind = kind;
    this.errno = errno;
  }
}

/** https://mariadb.com/kb/en/mariadb-error-code-reference/ */
export const ERRNO = {
  /** Of a user name and a password. */
  loginRefused: 1045,
  duplicateEntry: 1062,
  unknownThread: 1094,
  unknownTable: 1146,
  lockWaitTimeout: 1205,
  deadlock: 1213,
  /** CREATE, ALTER or DROP USER of what is there already, or is not. */
  cannotUser: 1396,
  tooManyConnections: 1040,
  shuttingDown: 1053,
  /** Of a privilege on the whole server. */
  accessDenied: 1227,
  readOnly: 1290,
  interrupted: 1317,
  statementTimeout: 1969,
  killed: 1927,
} as const;

const PASSING: ReadonlySet<number> = new Set([
  ERRNO.lockWaitTimeout,
  ERRNO.deadlock,
  ERRNO.tooManyConnections,
  ERRNO.shuttingDown,
  ERRNO.interrupted,
  ERRNO.statementTimeout,
  ERRNO.killed,
]);

/** Our own queue was full, or the call was over: it says nothing of the server. */
export class MysqlNotTried extends MysqlFailure {
  constructor(message: string) {
    super("not_sent", message);
  }
}

/** The server takes no more, or goes away; the rest of what passes is of one statement. */
const OF_THE_SERVER: ReadonlySet<number> = new Set([ERRNO.tooManyConnections, ERRNO.shuttingDown]);

/** One of many accounts may be why a statement for all of them was refused. */
export const isOfOneStatement = (thrown: unknown): boolean =>
  thrown instanceof MysqlFailure &&
  thrown.kind === "refused" &&
  !OF_THE_SERVER.has(thrown.errno ?? 0);

const serverFails = (failure: MysqlFailure): boolean =>
  failure.kind === "refused"
    ? OF_THE_SERVER.has(failure.errno ?? 0)
    : !(failure instanceof MysqlNotTried);

const mysqlFailureOf = (thrown: unknown): MysqlFailure =>
  thrown instanceof MysqlFailure
    ? thrown
    : new MysqlFailure("lost", thrown instanceof Error ? thrown.name : "unknown failure");

function reasonOf(failure: MysqlFailure): string {
  switch (failure.kind) {
    case "not_sent":
      return "the server could not be reached, or was too busy; nothing was sent";
    case "lost":
      return "no answer came in time, so what was sent may have happened";
    case "refused":
      return `the server refused with error ${failure.errno ?? "unknown"}`;
  }
}

const passes = ({ kind, errno }: MysqlFailure): boolean =>
  kind !== "refused" || PASSING.has(errno ?? 0);

export const failures = upstreamFailures("MySQL", mysqlFailureOf, (failure) => ({
  reason: reasonOf(failure),
  effect: failure.kind === "lost" ? "unknown" : "none",
  retrySeconds: passes(failure) ? 2 : null,
  upstreamFails: serverFails(failure),
}));
export const { unfinished } = failures;
