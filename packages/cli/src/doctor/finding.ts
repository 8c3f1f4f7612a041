import type { Json } from "@mayfly/spec";
import { toCliError } from "../cli-error.ts";

/** What `doctor` looked at and saw. */
export interface Finding {
  readonly check: string;
  /** `skipped`: could not be looked at, and why. */
  readonly result: "good" | "bad" | "skipped";
  readonly text: string;
  /** What to do; null where nothing is. */
  readonly todo: string | null;
  readonly facts?: Json;
}

export const good = (check: string, text: string, facts?: Json): Finding => ({
  check,
  result: "good",
  text,
  todo: null,
  ...(facts === undefined ? {} : { facts }),
});
export const bad = (check: string, text: string, todo: string): Finding => ({
  check,
  result: "bad",
  text,
  todo,
});
export const skipped = (check: string, text: string, todo: string | null = null): Finding => ({
  check,
  result: "skipped",
  text,
  todo,
});

/** A look that failed is a finding, and stops no other look. */
export async function looked(
  check: string,
  look: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return await look();
  } catch (error) {
    const { what, why, todo } = toCliError(error).parts;
    return [bad(check, why ? `${what} ${why}` : what, todo)];
  }
}
