import { BrokerError, ERROR_CODES, type ErrorCode, type JsonObject, type Log } from "@mayfly/spec";
import { PROTECTED_RESOURCE, wellKnown } from "./well-known.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject;
}

const NO_STORE = { "Cache-Control": "no-store" } as const;

/**
 * RFC 9457 problem details: `title` says what, `where` where, `detail` why, `todo` what to do. Its
 * `type` is a page that the broker at `issuer` serves.
 */
export function problemAnswer(
  error: BrokerError,
  traceId: string,
  issuer: string,
  /** Of DPoP proofs, for the challenge of a 401. */
  algorithms: readonly string[] = [],
): Answer {
  const entry = ERROR_CODES[error.code];
  const { hint, ...rest } = error.public;
  return {
    status: entry.status,
    headers: {
      ...NO_STORE,
      "Content-Type": "application/problem+json",
      ...retryAfter(error),
      ...(entry.status === 401
        ? { "WWW-Authenticate": challenges(error, issuer, algorithms) }
        : {}),
    },
    body: {
      ...rest,
      type: `${issuer}/errors/${error.code}`,
      title: entry.meaning,
      status: entry.status,
      detail: error.message,
      code: error.code,
      ...(error.where === null ? {} : { where: error.where }),
      // What is known of this one case before what holds for all of its code.
      todo: hint ?? entry.todo,
      trace: traceId,
    },
  };
}

/**
 * RFC 6750 section 3 and RFC 9449 section 7.1: how the request may be authenticated, and, where it
 * bore something, what was wrong with that.
 */
function challenges(error: BrokerError, issuer: string, algorithms: readonly string[]): string {
  const isOfProof = error.code === "invalid_dpop_proof" || error.code === "use_dpop_nonce";
  const isBare = error.where === "Authorization" && error.code !== "invalid_identity";
  // RFC 9728 section 5.1.
  const metadata = `, resource_metadata="${wellKnown(issuer, PROTECTED_RESOURCE)}"`;
  const ofToken = isOfProof || isBare ? "" : ', error="invalid_token"';
  const ofProof = isOfProof ? `, error="${error.code}"` : ofToken;
  const dpop = `DPoP realm="mayfly", algs="${algorithms.join(" ")}"${ofProof}`;
  return `Bearer realm="mayfly"${ofToken}${metadata}, ${dpop}${metadata}`;
}

/** Codes for which the token endpoint does not answer 400 (RFC 6749 section 5.2; protocol ours). */
const OAUTH_STATUS: Partial<Record<ErrorCode, number>> = {
  invalid_client: 401,
  assertion_replayed: 401,
  method_not_allowed: 405,
  too_large: 413,
  conflict: 409,
  idempotency_mismatch: 409,
  lease_limit: 429,
  rate_limited: 429,
  busy: 503,
  issuing_paused: 503,
  ledger_unavailable: 503,
  backend_unavailable: 503,
  backend_rejected: 502,
  config_invalid: 500,
  check_failed: 500,
  internal: 500,
};

/** Where OAuth says how a refusal looks. */
const OAUTH_PATHS: ReadonlySet<string> = new Set(["/token", "/introspect", "/revoke"]);
export const answersOauth = (path: string): boolean => OAUTH_PATHS.has(path);

/** The status at the token endpoint. */
export const oauthStatus = (code: ErrorCode): number => OAUTH_STATUS[code] ?? 400;

/** An OAuth error answer (RFC 6749 section 5.2) with our code and members beside it. */
export function oauthAnswer(
  error: BrokerError,
  traceId: string,
  /** Left out where there is no 401. */
  issuer?: string,
  algorithms: readonly string[] = [],
): Answer {
  const entry = ERROR_CODES[error.code];
  const { hint, ...rest } = error.public;
  const status = oauthStatus(error.code);
  // RFC 6749 section 5.2: for who used the Authorization header, or nothing. Clients that see a
  // challenge look no further, and of an assertion the body is what they need.
  const isChallenged = status === 401 && !(error.where ?? "").startsWith("client_assertion");
  return {
    status,
    headers: {
      ...NO_STORE,
      "Content-Type": "application/json",
      ...retryAfter(error),
      ...(isChallenged && issuer !== undefined
        ? { "WWW-Authenticate": challenges(error, issuer, algorithms) }
        : {}),
    },
    body: {
      ...rest,
      error: entry.oauth,
      error_description: printable(error.message),
      code: error.code,
      ...(error.where === null ? {} : { where: error.where }),
      hint: hint ?? entry.todo,
      trace: traceId,
    },
  };
}

const retryAfter = (error: BrokerError): Record<string, string> => {
  const status = OAUTH_STATUS[error.code] ?? ERROR_CODES[error.code].status;
  const waits = error.retryAfterSeconds ?? (status === 503 || status === 429 ? 5 : null);
  return waits === null ? {} : { "Retry-After": String(Math.max(1, Math.ceil(waits))) };
};

/** `error_description` allows %x20-21 / %x23-5B / %x5D-7E only (RFC 6749 section 5.2). */
const printable = (text: string): string =>
  text
    .replaceAll('"', "'")
    .replaceAll("\\", "/")
    .replaceAll(/[^\x20-\x7e]/g, "?");

/**
 * Any failure as a BrokerError, logged under the trace id with its cause. What is not one of ours
 * is a defect: its text stays in the log.
 */
export function knownError(error: unknown, log: Log): BrokerError {
  if (BrokerError.is(error)) {
    const level = ERROR_CODES[error.code].status >= 500 ? "warn" : "debug";
    log[level]("request failed", { code: error.code, where: error.where }, error.cause);
    return error;
  }
  log.error("request failed by a defect", {}, error);
  return new BrokerError("internal", "The broker failed; nothing more is said here.");
}
