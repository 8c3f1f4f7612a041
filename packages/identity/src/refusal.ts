import { BrokerError } from "@mayfly/spec";

/** Why an identity or a token was refused: for the log and the tests, never for the caller. */
export const REFUSAL_REASONS = [
  "unsupported_kind",
  "too_large",
  "malformed",
  "header",
  "algorithm",
  "type",
  "unknown_issuer",
  "ambiguous_issuer",
  "withdrawn",
  "keys_unavailable",
  "unknown_key",
  "signature",
  "issuer",
  "audience",
  "time",
  "subject",
  "claims",
  "attributes",
  "certificate",
  "path",
  "bound_token",
  "review_unavailable",
  "review",
  "aborted",
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/**
 * One cause of a refusal. It crosses the package's boundary only as the `cause` of a BrokerError.
 * `detail` is fixed text or names from our own configuration, never a token's content.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly reason: RefusalReason;
  constructor(reason: RefusalReason, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.reason = reason;
  }
}

const UNIFORM = "The identity could not be verified.";

/** A3. One message for all causes, so that a caller cannot learn which check it has to beat. */
export function invalidIdentity(cause: unknown): BrokerError {
  return new BrokerError("invalid_identity", UNIFORM, { cause });
}
