import { MayflyError } from "@mayfly/client";
import { BrokerError, ERROR_CODES, type JsonObject } from "@mayfly/spec";
import { EXIT, type ExitCode } from "./exit-codes.ts";

export interface CliErrorParts {
  /** Stable, as in `docs/errors.md`, or `usage`. */
  readonly code: string;
  readonly what: string;
  readonly where?: string | null;
  readonly why?: string | null;
  readonly todo: string;
  readonly exit: ExitCode;
  readonly trace?: string | null;
  /** Further members that the broker's answer had: policies, problems. */
  readonly more?: JsonObject;
}

/** What the command says when it fails, in four parts: what, where, why, what to do. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly parts: CliErrorParts;
  constructor(parts: CliErrorParts, cause?: unknown) {
    super(parts.what, cause === undefined ? undefined : { cause });
    this.parts = parts;
  }
}

export const usageError = (what: string, todo: string, where: string | null = null): CliError =>
  new CliError({ code: "usage", what, where, todo, exit: EXIT.usage });

/** A file or a setting that cannot be used; `where` names it, with the line if there is one. */
export const configError = (
  what: string,
  where: string,
  todo: string = ERROR_CODES.config_invalid.todo,
): CliError => new CliError({ code: "config_invalid", what, where, todo, exit: EXIT.config });

/** What the command had to say is lost, or a part of it; `code` is the system's. */
export const outputLost = (
  code: string,
  todo = "Make room for it, or name another place. What the command changed is changed.",
): CliError =>
  configError(`What the command says could not be written (${code}).`, "standard output", todo);

/** Any failure as a {@link CliError}; what is none of ours is a defect and shows its text. */
export function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (MayflyError.is(error)) return fromSdk(error);
  if (BrokerError.is(error)) {
    const entry = ERROR_CODES[error.code];
    return new CliError(
      {
        code: error.code,
        what: error.message,
        where: error.where,
        why: causeOf(error) ?? entry.meaning,
        todo: entry.todo,
        exit: exitOf(error),
        more: error.public,
      },
      error,
    );
  }
  return new CliError(
    {
      code: "internal",
      what: error instanceof Error ? `${error.name}: ${error.message}` : "Something was thrown.",
      todo: "Report it, with the command that you ran and what `mayfly --version` says.",
      exit: EXIT.defect,
    },
    error,
  );
}

/** What the SDK says, and the broker through it. */
function fromSdk(error: MayflyError): CliError {
  const { code, what, where, hint, trace, decision, determiningPolicies } = error;
  return new CliError(
    {
      code,
      what,
      where,
      todo: hint ?? "Read the message.",
      exit: exitOfSdk(error),
      trace,
      more: {
        ...(decision === null ? {} : { decision }),
        ...(determiningPolicies.length === 0 ? {} : { determining_policies: determiningPolicies }),
      },
    },
    error,
  );
}

function exitOfSdk({ code, status }: MayflyError): ExitCode {
  if (["invalid_option", "no_identity", "identity_unavailable"].includes(code)) return EXIT.config;
  if (code === "broker_unreachable" || code === "not_a_broker") return EXIT.unavailable;
  return status !== null && (status >= 500 || status === 429) ? EXIT.unavailable : EXIT.refused;
}

function exitOf(error: BrokerError): ExitCode {
  switch (error.code) {
    case "config_invalid":
    case "invalid_input":
      return EXIT.config;
    case "internal":
      return EXIT.defect;
    default:
      return ERROR_CODES[error.code].status >= 500 ? EXIT.unavailable : EXIT.refused;
  }
}

/**
 * What the driver or the system said, for errors that arose in this process and not at the broker:
 * whoever runs `migrate` has the database's own rights. Only errors with a code are shown; those
 * are PostgreSQL's and the system's, which name hosts and roles and never a password.
 */
function causeOf(error: BrokerError): string | null {
  const { cause } = error;
  if (!(cause instanceof Error) || !("code" in cause) || typeof cause.code !== "string")
    return null;
  const text = cause.message === "" ? cause.code : cause.message;
  return text.includes(cause.code) ? text : `${text} (${cause.code})`;
}
