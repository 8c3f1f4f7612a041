/** Codes of this package. Every other one is the broker's: docs/errors.md of Mayfly lists them. */
export type ClientErrorCode =
  /** Nobody answers at the broker's URL, or not in time. */
  | "broker_unreachable"
  /** Somebody else answers there, or a broker whose issuer is not the one expected. */
  | "not_a_broker"
  /** No source of an identity serves here; the message lists each and why. */
  | "no_identity"
  /** The source that was chosen gave no usable token. */
  | "identity_unavailable"
  /** An option is missing, misspelt or ill-formed. */
  | "invalid_option"
  /** The task has no credential of that role or kind. */
  | "no_credential"
  /** A warning: the broker did not say that the task has ended. */
  | "end_unconfirmed"
  /** A warning: identity could not be proven afresh; unless it is soon, the task is lost. */
  | "identity_not_renewed"
  /** The task ended while it was in use, or its heartbeats were not accepted for too long. */
  | "task_lost";

export interface MayflyErrorParts {
  readonly code: string;
  /** What is wrong, in one sentence or two; never a secret. */
  readonly what: string;
  readonly where?: string | null;
  readonly hint?: string | null;
  readonly decision?: string | null;
  readonly determiningPolicies?: readonly string[];
  readonly trace?: string | null;
  readonly retryAfterSeconds?: number | null;
  readonly status?: number | null;
  readonly cause?: unknown;
}

const marker = Symbol.for("mayfly.MayflyError");

/**
 * The one error of this package. `message` has all that a person needs; the members are for
 * programs. None of them ever holds a secret or a token's content.
 */
export class MayflyError extends Error {
  override readonly name = "MayflyError";
  /** A {@link ClientErrorCode}, or one of the broker's (`denied`, `task_ended`, `busy` …). */
  readonly code: string;
  readonly what: string;
  /** The place in the request or the setting: `authorization_details[0].deadline`, `MAYFLY_URL`. */
  readonly where: string | null;
  /** The next step. */
  readonly hint: string | null;
  /** The decision's id, for `mayfly policy explain`. */
  readonly decision: string | null;
  /** The ids of the policies that determined a denial. */
  readonly determiningPolicies: readonly string[];
  /** Finds the request in the broker's log. */
  readonly trace: string | null;
  /** Seconds after which trying again may help; null where it will not, or nobody said. */
  readonly retryAfterSeconds: number | null;
  /** The HTTP status, where the broker answered. */
  readonly status: number | null;
  readonly [marker] = true;

  constructor(parts: MayflyErrorParts) {
    super(messageOf(parts), parts.cause === undefined ? undefined : { cause: parts.cause });
    this.code = parts.code;
    this.what = parts.what;
    this.where = parts.where ?? null;
    this.hint = parts.hint ?? null;
    this.decision = parts.decision ?? null;
    this.determiningPolicies = parts.determiningPolicies ?? [];
    this.trace = parts.trace ?? null;
    this.retryAfterSeconds = parts.retryAfterSeconds ?? null;
    this.status = parts.status ?? null;
  }

  /** Holds across two copies of this package, where `instanceof` does not. */
  static is(error: unknown): error is MayflyError {
    return typeof error === "object" && error !== null && marker in error;
  }
}

function messageOf(parts: MayflyErrorParts): string {
  const { code, what, where, hint, decision, determiningPolicies = [], trace } = parts;
  const tag = (name: string, value: string | null | undefined): string =>
    value === null || value === undefined || value === "" ? "" : `; ${name} ${value}`;
  const tags =
    tag("at", where) +
    tag("policies", determiningPolicies.join(", ")) +
    tag("decision", decision) +
    tag("trace", trace);
  // What is wrong with a value may be no whole sentence: "goal: is too long".
  const stop = /[.!?]$/.test(what) ? "" : ".";
  const todo = hint === null || hint === undefined ? "" : `${stop} ${hint}`;
  return plain(`${what}${todo} [${code}${tags}]`);
}

/** Text from elsewhere moves no cursor on the terminal that it is shown on. */
const plain = (text: string): string => text.replaceAll(/[^\P{C}\n]/gu, "?");

export const invalidOption = (what: string, where: string): MayflyError =>
  new MayflyError({ code: "invalid_option", what, where });
