import { retryAfterSeconds, upstreamFailures, type FailureMeaning } from "@mayfly/backend-kit";
import { BrokerError } from "@mayfly/spec";

/**
 * How a call of AWS failed.
 *
 * `not_sent`: no byte of the request left. `refused`: AWS answered 4xx, and did nothing. `busy`: it
 * asks for fewer requests, and did nothing. `lost`: no answer, half an answer, or 5xx: anything may
 * have happened. `ledger`: the ledger, which keeps the names of leases, did not answer.
 */
export class AwsFailure extends Error {
  override readonly name = "AwsFailure";
  readonly kind: "not_sent" | "refused" | "busy" | "lost" | "ledger";
  /** As AWS names it: `AccessDenied`. */
  readonly code: string | null;
  readonly status: number | null;
  readonly retryAfterSeconds: number | null;
  constructor(
    kind: AwsFailure["kind"],
    message: string,
    more: {
      readonly code?: string | null;
      readonly status?: number;
      readonly retryAfterSeconds?: number | null;
    } = {},
  ) {
    super(message.slice(0, 1_000));
    this.kind = kind;
    this.code = more.code ?? null;
    this.status = more.status ?? null;
    this.retryAfterSeconds = more.retryAfterSeconds ?? null;
  }
}

/** What became of one request, as the transport saw it. */
export type Sent =
  | { readonly kind: "not_sent" | "lost"; readonly why: string }
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly retryAfter: string | undefined;
    };

const THROTTLED = /^(?:Throttl|RequestLimitExceeded$|TooManyRequests|SlowDown$|PriorRequestNot)/;
/**
 * Of these the words are kept: they name actions, roles and limits. Others quote the request, with
 * its headers: SignatureDoesNotMatch does.
 */
const QUOTABLE = new Set([
  "AccessDenied",
  "AccessDeniedException",
  "ValidationError",
  "MalformedPolicyDocument",
  "PackedPolicyTooLarge",
  "NoSuchEntity",
  "LimitExceeded",
  "RegionDisabledException",
]);

/** By what the transport saw; what the SDK makes of it tells the name of the error alone. */
export function failureOf(thrown: unknown, sent: Sent | null): AwsFailure {
  if (thrown instanceof AwsFailure) return thrown;
  // No credentials, most likely: their providers' own words may hold what they were given.
  if (sent === null) return new AwsFailure("not_sent", `nothing was sent (${nameOf(thrown)})`);
  if (sent.kind !== "answer") return new AwsFailure(sent.kind, sent.why);
  const { status } = sent;
  const code = codeOf(thrown);
  const more = { status, code, retryAfterSeconds: secondsIn(sent) };
  const quotable = code !== null && QUOTABLE.has(code) && thrown instanceof Error;
  const words = quotable ? thrown.message : (code ?? nameOf(thrown));
  const isRefusal = status >= 400 && status < 500;
  if (status === 429 || (isRefusal && THROTTLED.test(code ?? ""))) {
    return new AwsFailure("busy", words, more);
  }
  return new AwsFailure(isRefusal ? "refused" : "lost", words, more);
}

const secondsIn = ({ retryAfter }: { readonly retryAfter: string | undefined }): number | null =>
  retryAfter === undefined ? null : retryAfterSeconds(retryAfter);

const CODE = /^[A-Za-z][A-Za-z.]{2,80}$/;
const nameOf = (thrown: unknown): string =>
  thrown instanceof Error && CODE.test(thrown.name) ? thrown.name : "unknown failure";
/** Names that the SDK gives: `NoSuchEntityException` for the code NoSuchEntity. */
function codeOf(thrown: unknown): string | null {
  const said: unknown =
    thrown instanceof Error && "Code" in thrown && typeof thrown.Code === "string"
      ? thrown.Code
      : nameOf(thrown);
  if (typeof said !== "string" || !CODE.test(said)) return null;
  return said.replace(/^(NoSuchEntity|LimitExceeded|MalformedPolicyDocument)Exception$/, "$1");
}

const MEANINGS: Readonly<
  Record<AwsFailure["kind"], Pick<FailureMeaning, "effect" | "upstreamFails" | "throttled">>
> = {
  not_sent: { effect: "none", upstreamFails: true },
  refused: { effect: "none", upstreamFails: false },
  busy: { effect: "none", upstreamFails: true, throttled: true },
  lost: { effect: "unknown", upstreamFails: true },
  ledger: { effect: "unknown", upstreamFails: false },
};

const meaningOf = (failure: AwsFailure): FailureMeaning => ({
  ...MEANINGS[failure.kind],
  reason: reasonOf(failure),
  retrySeconds: failure.kind === "refused" ? null : (failure.retryAfterSeconds ?? 2),
  hint: failure.message,
});

function reasonOf({ kind, code, status, message }: AwsFailure): string {
  switch (kind) {
    case "not_sent":
      return "it could not be reached, or the broker has no credentials; nothing was sent";
    case "refused":
      return `it refused with ${code ?? `status ${status}`}${adviceOf(code, message)}`;
    case "busy":
      return "it asks for fewer requests";
    case "lost":
      return status === null
        ? "no answer came in time, so what was sent may have happened"
        : `it failed with status ${status}, so what was sent may have happened`;
    case "ledger":
      return "the ledger, which keeps the names of leases, did not answer";
  }
}

/** Of what whoever wrote the role, or the trust policy, can mend. */
function adviceOf(code: string | null, message: string): string {
  if (code === "PackedPolicyTooLarge") {
    return ": session policy and tags are too long together; ask for less, or tag less";
  }
  if (code === "ValidationError" && message.includes("DurationSeconds")) {
    return ": session_seconds_max is more than AWS allows here";
  }
  return "";
}

const madeOf = (thrown: unknown): AwsFailure =>
  BrokerError.is(thrown) ? new AwsFailure("ledger", thrown.message) : failureOf(thrown, null);

export const failures = upstreamFailures("AWS", madeOf, meaningOf);
