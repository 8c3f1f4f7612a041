import type { JsonObject } from "./brand.ts";
import type { DurationSeconds } from "./time.ts";

/**
 * Every error code, with what it means and what to do: public API, and the one source of
 * `docs/errors.md`. A code is never reused: a retired one stays here, marked so.
 *
 * `status` is for our own APIs (RFC 9457). `oauth` is the `error` at the token endpoint
 * (RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 9396 section 5), which answers 400 unless
 * the HTTP edge says otherwise.
 */
export const ERROR_CODES = {
  invalid_request: {
    status: 400,
    oauth: "invalid_request",
    meaning: "The request is malformed: a parameter is missing, repeated or ill-formed.",
    todo: "Correct what the message names and send it again.",
  },
  invalid_input: {
    status: 422,
    oauth: "invalid_request",
    meaning: "The request is well-formed but a value in it is not acceptable.",
    todo: "Correct the value at the place that the message names.",
  },
  invalid_task: {
    status: 422,
    oauth: "invalid_authorization_details",
    meaning: "The task descriptor is not acceptable.",
    todo: "Correct the member that the message names; unknown members are errors.",
  },
  invalid_target: {
    status: 422,
    oauth: "invalid_target",
    meaning: "The broker does not issue for the resource or audience named.",
    todo: "Leave out `resource` and `audience`, or name the broker's own issuer.",
  },
  unsupported_grant_type: {
    status: 400,
    oauth: "unsupported_grant_type",
    meaning: "The token endpoint does not offer this grant.",
    todo: "Use urn:ietf:params:oauth:grant-type:token-exchange.",
  },
  invalid_scope: {
    status: 400,
    oauth: "invalid_scope",
    meaning: "The token endpoint has no scopes.",
    todo: "Leave out `scope`; say what the task needs in `authorization_details`.",
  },
  invalid_identity: {
    status: 401,
    oauth: "invalid_request",
    meaning: "What was presented does not prove an identity that this installation trusts.",
    todo:
      "Present a fresh token that is addressed to the broker's issuer (`issuer` of its metadata), " +
      "of an identity provider that is registered there. Why this one was refused is in the " +
      "broker's log, under the trace id.",
  },
  invalid_client: {
    status: 401,
    oauth: "invalid_client",
    meaning: "The client is not one that this installation knows, by what it authenticates with.",
    todo:
      "Send a fresh assertion whose only audience is the broker's issuer: a JWT-SVID as " +
      "jwt-spiffe. The cause is in the broker's log, under the trace id.",
  },
  invalid_dpop_proof: {
    status: 401,
    oauth: "invalid_dpop_proof",
    meaning: "The DPoP proof of the request does not hold, was used before, or is missing.",
    todo:
      "Make a new proof for each request (RFC 9449): its method, its URL as the broker's public " +
      "one, the time now, a jti of its own, and the hash of the token that goes with it.",
  },
  use_dpop_nonce: {
    status: 401,
    oauth: "use_dpop_nonce",
    meaning: "DPoP proofs must bear a nonce of this broker, and this one bears none that counts.",
    todo: "Send the request again with a new proof that bears the `DPoP-Nonce` header's value.",
  },
  unauthenticated: {
    status: 401,
    oauth: "invalid_client",
    meaning: "The call carries no credential that this endpoint accepts.",
    todo:
      "Send the task token as a bearer token, or the workload's own identity token, fresh; for " +
      "administration, an administrator's.",
  },
  denied: {
    status: 403,
    oauth: "access_denied",
    meaning: "Policy does not permit this.",
    todo: "Read the decision with `explain`, ask for a narrower role, or ask for a policy.",
  },
  not_found: {
    status: 404,
    oauth: "invalid_request",
    meaning: "There is no such object, or the caller may not see it.",
    todo: "Check the id, and as whom you call: what a caller may not see is not found either.",
  },
  method_not_allowed: {
    status: 405,
    oauth: "invalid_request",
    meaning: "The path exists but not with this HTTP method.",
    todo: "Use a method that the Allow header names.",
  },
  conflict: {
    status: 409,
    oauth: "invalid_request",
    meaning: "The object has changed, or is in a state that does not allow this.",
    todo: "Read the object again and decide anew.",
  },
  precondition_failed: {
    status: 412,
    oauth: "invalid_request",
    meaning: "The object is not the one that If-Match or If-None-Match names: somebody changed it.",
    todo: "Read the object again, look at what changed, and send the change with its new ETag.",
  },
  idempotency_mismatch: {
    status: 409,
    oauth: "invalid_request",
    meaning: "This Idempotency-Key was used with another request.",
    todo: "Use a new key for a new request; repeat an old one byte for byte.",
  },
  replayed: {
    status: 401,
    oauth: "invalid_request",
    meaning: "This one-time token was presented before.",
    todo: "Present a fresh token, or repeat the request with its Idempotency-Key.",
  },
  assertion_replayed: {
    status: 401,
    // RFC 7523 section 3.2: whatever is wrong with the assertion of a client.
    oauth: "invalid_client",
    meaning: "This client assertion was used before, and each counts once.",
    todo: "Make a new assertion for each request, with a `jti` of its own.",
  },
  task_ended: {
    status: 409,
    // RFC 8693 section 2.2.2: whatever is wrong with a subject token, as that of an ended task is.
    oauth: "invalid_request",
    meaning: "The task is not active, or its end was requested.",
    todo: "Open a new task.",
  },
  lease_limit: {
    status: 429,
    oauth: "temporarily_unavailable",
    meaning: "The task, the workload or the role has as many live leases as it may have.",
    todo: "End what is no longer needed, then try again.",
  },
  rate_limited: {
    status: 429,
    oauth: "temporarily_unavailable",
    meaning:
      "The workload exchanges more often, or more at once, than one may; or too many requests from " +
      "this address were malformed, or had proofs of identity that were refused.",
    todo: "Try again after the Retry-After time, less often. Ends and heartbeats are never paced.",
  },
  too_large: {
    status: 413,
    oauth: "invalid_request",
    meaning: "The request is larger than the broker reads.",
    todo: "Send less: the message names the limit.",
  },
  headers_too_large: {
    status: 431,
    oauth: "invalid_request",
    meaning: "The head of the request is larger than the broker reads.",
    todo: "Send fewer or shorter headers, or a shorter path.",
  },
  request_timeout: {
    status: 408,
    oauth: "invalid_request",
    meaning: "The request did not arrive in time.",
    todo: "Send it again, on a faster or a new connection.",
  },
  busy: {
    status: 503,
    oauth: "temporarily_unavailable",
    meaning: "A bounded queue is full.",
    todo: "Try again after the Retry-After time.",
  },
  issuing_paused: {
    status: 503,
    oauth: "temporarily_unavailable",
    meaning:
      "Issuing is paused: sweeps or the backend's listings are late (also in the first moments " +
      "after a start), it has too many stuck leases, or it is disabled. The message says which.",
    todo: "Operators: `mayfly doctor`. Agents: try again after the Retry-After time.",
  },
  ledger_unavailable: {
    status: 503,
    oauth: "temporarily_unavailable",
    meaning: "The ledger could not be written or read; nothing was issued.",
    todo: "Try again after the Retry-After time.",
  },
  backend_unavailable: {
    status: 503,
    oauth: "temporarily_unavailable",
    meaning: "The backend did not answer, or answered that it cannot now.",
    todo:
      "Try again after the Retry-After time. What may have been made meanwhile is looked for and " +
      "destroyed by the broker.",
  },
  backend_rejected: {
    status: 502,
    oauth: "server_error",
    meaning: "The backend refused what the broker asked; asking again will not help.",
    todo: "Operators: test the backend; the broker's log has the cause.",
  },
  config_invalid: {
    status: 422,
    oauth: "server_error",
    meaning: "The configuration of a process or a registered object is not acceptable.",
    todo: "Correct what the message names.",
  },
  check_failed: {
    status: 422,
    oauth: "server_error",
    meaning: "The backend lacks a right or a setting that Mayfly needs.",
    todo: "Do what each listed problem says, then register or test it again.",
  },
  internal: {
    status: 500,
    oauth: "server_error",
    meaning: "A defect in the broker; nothing about it is said here.",
    todo: "Report the trace id.",
  },
} as const satisfies Readonly<
  Record<
    string,
    {
      readonly status: number;
      readonly oauth: string;
      readonly meaning: string;
      readonly todo: string;
    }
  >
>;
export type ErrorCode = keyof typeof ERROR_CODES;

export interface BrokerErrorOptions {
  /** For the log only. */
  readonly cause?: unknown;
  /** Where in the input, as a path the caller can find: `authorization_details[0].deadline`. */
  readonly where?: string;
  /** Public extra members of the answer (a decision's id, determining policies, a hint). */
  readonly public?: JsonObject;
  readonly retryAfterSeconds?: number;
}

const marker = Symbol.for("mayfly.BrokerError");

/**
 * The one error type that crosses a package boundary.
 *
 * `message`, `where` and `public` may be shown to the caller and never hold a secret or a token's
 * content. `cause` may not: it goes to the log under the trace id. Anything that is not a
 * BrokerError is answered as `internal`.
 */
export class BrokerError extends Error {
  override readonly name: string = "BrokerError";
  readonly code: ErrorCode;
  readonly where: string | null;
  readonly public: JsonObject;
  readonly retryAfterSeconds: number | null;
  readonly [marker] = true;

  constructor(code: ErrorCode, message: string, options: BrokerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.where = options.where ?? null;
    this.public = options.public ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }

  /** Holds across two copies of this package, where `instanceof` does not. */
  static is(error: unknown): error is BrokerError {
    return typeof error === "object" && error !== null && marker in error;
  }
}

export class InvalidInput extends BrokerError {
  override readonly name = "InvalidInput";
  constructor(message: string, options: BrokerErrorOptions = {}) {
    super("invalid_input", message, options);
  }
}

/**
 * Whether there is what somebody asks for was looked up a moment ago, and is not looked up for each
 * question. Whoever makes names up can bring it about at will.
 */
export class NotKnownYet extends BrokerError {
  override readonly name = "NotKnownYet";
  constructor(message: string, options: Pick<BrokerErrorOptions, "retryAfterSeconds">) {
    super("busy", message, options);
  }
}

export type BackendRetry =
  | { readonly kind: "after"; readonly seconds: DurationSeconds }
  | { readonly kind: "never" };

/** What a failed call to a backend tells the core. */
export class BackendError extends BrokerError {
  override readonly name = "BackendError";
  /**
   * Whether the backend may have acted. `"none"`: it certainly did not, and the reservation can be
   * dropped. `"unknown"`: it might have, and the reservation waits for `recover`. A timeout or a
   * lost connection after the request left is always `"unknown"`.
   */
  readonly effect: "none" | "unknown";
  readonly retry: BackendRetry;
  /**
   * Whether it says that the upstream gave no answer or refused for load: what a breaker counts.
   * Not of what never came to the upstream, nor of one lease that cannot be finished now.
   */
  readonly upstreamFails: boolean;
  /**
   * Whether the upstream asks for fewer calls (429, or a code of its own). Then `retry` says for
   * how long, and all processes heed it.
   */
  readonly throttled: boolean;
  constructor(
    message: string,
    options: BrokerErrorOptions & {
      readonly effect: "none" | "unknown";
      readonly retry: BackendRetry;
      /** Default: false. */
      readonly upstreamFails?: boolean;
      /** Default: false. */
      readonly throttled?: boolean;
    },
  ) {
    super(options.retry.kind === "never" ? "backend_rejected" : "backend_unavailable", message, {
      ...options,
      ...(options.retry.kind === "after" ? { retryAfterSeconds: options.retry.seconds } : {}),
    });
    this.effect = options.effect;
    this.retry = options.retry;
    this.upstreamFails = options.upstreamFails ?? false;
    this.throttled = options.throttled ?? false;
  }
  static isBackendError(error: unknown): error is BackendError {
    return BrokerError.is(error) && "effect" in error && "retry" in error;
  }
}
