import postgres from "postgres";
import { BrokerError } from "@mayfly/spec";

/** What the driver calls trouble with the connection itself. */
const CONNECTION_CODES: ReadonlySet<string> = new Set([
  "CALL_TIMEOUT",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECT_TIMEOUT",
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
]);

/** Never carries statement, parameters or row values: a cause goes to the log. */
export class LedgerFault extends Error {
  override readonly name = "LedgerFault";
  /** SQLSTATE, or the driver's code for connection trouble. */
  readonly code: string;
  readonly constraint: string | null;
  constructor(code: string, message: string, constraint: string | null) {
    super(message);
    this.code = code;
    this.constraint = constraint;
  }
}

/** The fault in what the driver or drizzle threw; null when it came from elsewhere. */
export function faultOf(error: unknown): LedgerFault | null {
  let at: unknown = error;
  for (let depth = 0; depth < 4 && at instanceof Error; depth++, at = at.cause) {
    if (at instanceof LedgerFault) return at;
    if (at instanceof postgres.PostgresError) {
      return new LedgerFault(at.code, at.message, at.constraint_name ?? null);
    }
    if ("code" in at && typeof at.code === "string" && CONNECTION_CODES.has(at.code)) {
      return new LedgerFault(at.code, `the connection failed: ${at.code}`, null);
    }
  }
  return null;
}

export type FaultKind =
  /** 40001, 40P01: the same transaction may succeed. */
  | "conflict"
  /** 55P03: somebody holds a lock for longer than we wait. */
  | "locked"
  /** Classes 22 and 23: a value is not acceptable. */
  | "data"
  | "unavailable"
  /** 42501: the database role may not do this. */
  | "forbidden"
  | "defect";

export function faultKind(fault: LedgerFault): FaultKind {
  const { code } = fault;
  if (code === "40001" || code === "40P01") return "conflict";
  if (code === "55P03") return "locked";
  if (code === "42501") return "forbidden";
  if (CONNECTION_CODES.has(code)) return "unavailable";
  switch (code.slice(0, 2)) {
    case "22":
    case "23":
      return "data";
    // Connection, authorisation, resources, operator intervention (timeouts and shutdown).
    case "08":
    case "28":
    case "53":
    case "57":
    case "58":
      return "unavailable";
    default:
      // A standby or a read-only session; a session ended for idling in a transaction.
      return code === "25006" || code === "25P03" ? "unavailable" : "defect";
  }
}

export const ledgerUnavailable = (cause: unknown): BrokerError =>
  new BrokerError("ledger_unavailable", "The ledger is not reachable or cannot be written now.", {
    cause,
    retryAfterSeconds: 1,
  });

/** The server names what may not be touched, and nothing that is stored there. */
const rightMissing = (fault: LedgerFault, role: string | null): BrokerError =>
  new BrokerError(
    "config_invalid",
    `${role === null ? "The ledger's database role" : `The database role ${role}`} may not do ` +
      `this in the ledger: ${fault.message}. Connect as the role whose work it is ` +
      "(mayfly_broker, mayfly_worker, mayfly_auditor to verify, mayfly_migrator to migrate), " +
      "or give back the right that was taken from it.",
    { where: role === null ? "database role" : `database role ${role}`, cause: fault },
  );

/** What crosses the package's boundary: always a {@link BrokerError}. */
export function toBrokerError(error: unknown, databaseRole: string | null = null): BrokerError {
  if (BrokerError.is(error)) return error;
  const fault = faultOf(error);
  if (fault === null) return new BrokerError("internal", "The ledger failed.", { cause: error });
  const { code } = fault;
  switch (faultKind(fault)) {
    case "conflict":
    case "unavailable":
      return ledgerUnavailable(fault);
    case "locked":
      return new BrokerError("busy", "The task or lease is in use by another request.", {
        cause: fault,
        retryAfterSeconds: 1,
      });
    case "data":
      if (fault.code === "23505") {
        return new BrokerError("conflict", "The ledger already has this.", { cause: fault });
      }
      return new BrokerError("invalid_input", "The ledger cannot store a value of this request.", {
        cause: fault,
      });
    case "forbidden":
      return rightMissing(fault, databaseRole);
    case "defect":
      return new BrokerError("internal", `The ledger refused a statement (SQLSTATE ${code}).`, {
        cause: fault,
      });
  }
}
