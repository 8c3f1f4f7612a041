import { BUNDLE_SEQUENCE_MAX, parseShallowJson } from "@mayfly/spec";
import { isJsonMap, member } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";

const NAME = "spiffe_sequence";
const WHOLE = /^(?:0|[1-9]\d*)$/;

/**
 * The sequence of a bundle (SPIFFE Trust Domain and Bundle section 4.1.1), or null where it has
 * none. Of the text: among the numbers that `JSON.parse` makes, two that follow each other may be
 * one. Refuses what is no unsigned integer of 64 bits: a bundle that says a sequence which cannot
 * be compared is not one without a sequence.
 */
export function readBundleSequence(text: string): bigint | null {
  const document = parseShallowJson(text, revived);
  const value = isJsonMap(document) ? member(document, NAME) : undefined;
  if (value === undefined) return null;
  if (typeof value === "bigint" && value <= BUNDLE_SEQUENCE_MAX) return value;
  throw new Refusal(
    "keys_unavailable",
    `the bundle's ${NAME} is not a whole number from 0 to ${BUNDLE_SEQUENCE_MAX}`,
  );
}

/** The engine hands a number's own digits on beside it. */
const revived = (name: string, value: unknown, context?: { readonly source?: string }): unknown => {
  if (name !== NAME || typeof value !== "number") return value;
  const digits = context?.source ?? "";
  return WHOLE.test(digits) ? BigInt(digits) : value;
};
