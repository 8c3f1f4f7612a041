import type { Json } from "@mayfly/spec";
import { toCliError } from "../cli-error.ts";

/**
 * `error`: something does not work, or a guarantee does not hold. `warning`: it will, or something
 * is slower or weaker than it has to be.
 */
export type Severity = "error" | "warning";

/** What `doctor` looked at and saw. */
export interface Finding {
  readonly check: string;
  /** `skipped`: could not be looked at, and why. */
  readonly result: "good" | "bad" | "skipped";
  /** Null where nothing is wrong. */
  readonly severity: Severity | null;
  readonly text: string;
  /** What it leads to; null where the text says it. */
  readonly why: string | null;
  /** What to do; null where nothing is. */
  readonly todo: string | null;
  readonly facts?: Json;
}

export const good = (check: string, text: string, facts?: Json): Finding => ({
  check,
  result: "good",
  severity: null,
  text,
  why: null,
  todo: null,
  ...(facts === undefined ? {} : { facts }),
});
export interface BadParts {
  readonly why?: string;
  readonly severity?: Severity;
}
export const bad = (check: string, text: string, todo: string, parts: BadParts = {}): Finding => ({
  check,
  result: "bad",
  severity: parts.severity ?? "error",
  text,
  why: parts.why ?? null,
  todo,
});
export const skipped = (check: string, text: string, todo: string | null = null): Finding => ({
  check,
  result: "skipped",
  severity: null,
  text,
  why: null,
  todo,
});

/** A look that failed is a finding, and stops no other look. */
export async function looked(
  check: string,
  look: () => Promise<readonly Finding[]>,
  /** What to do where the ledger does not answer: here nobody told when to try again. */
  unavailableTodo?: string,
): Promise<readonly Finding[]> {
  try {
    return await look();
  } catch (error) {
    const { code, what, why, todo } = toCliError(error).parts;
    if (code === "interrupted") throw error;
    const said = code === "ledger_unavailable" ? (unavailableTodo ?? todo) : todo;
    return [bad(check, why ? `${what} ${why}` : what, said)];
  }
}
