import type { WorkloadAttribute } from "@mayfly/spec";
import { claimAt, type ClaimPath } from "./claim-path.ts";
import type { JsonMap } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";

export interface AttributeRule {
  readonly name: string;
  readonly path: ClaimPath;
  readonly stability: WorkloadAttribute["stability"];
}
export interface RequiredClaim {
  readonly path: ClaimPath;
  readonly value: string | number | boolean;
}

const VALUE_CHARACTERS_MAX = 1024;
const CONTROL = /\p{Cc}/u;

/** Text that may stand in a policy, a log line, a terminal: bounded, well-formed, no controls. */
export function isPlainText(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value.length <= VALUE_CHARACTERS_MAX &&
    value.isWellFormed() &&
    !CONTROL.test(value)
  );
}

/** Every declared attribute is required: a policy may rely on what the trust root declares. */
export function readAttributes(
  claims: JsonMap,
  rules: readonly AttributeRule[],
): Readonly<Record<string, WorkloadAttribute>> {
  const entries = rules.map((rule) => {
    const value = asText(claimAt(claims, rule.path));
    if (value === null) {
      throw new Refusal("attributes", `the token lacks the declared attribute ${rule.name}`);
    }
    return [rule.name, { value, stability: rule.stability }] as const;
  });
  return Object.fromEntries(entries);
}

export interface MembershipRule {
  readonly name: string;
  readonly path: ClaimPath;
  /** Those that count. */
  readonly of: readonly string[];
  readonly stability: WorkloadAttribute["stability"];
}

/** `groups:platform` for each value that counts, of a claim that is a list of texts or a text. */
export function readMemberships(
  claims: JsonMap,
  rules: readonly MembershipRule[],
): Readonly<Record<string, WorkloadAttribute>> {
  const entries = rules.flatMap(({ name, path, of, stability }) => {
    const claim = claimAt(claims, path);
    const held = new Set<unknown>(Array.isArray(claim) ? claim : [claim]);
    return of
      .filter((value) => held.has(value))
      .map((value) => [`${name}:${value}`, { value: "true", stability }] as const);
  });
  return Object.fromEntries(entries);
}

/** Policies see text; a number or a boolean has one spelling, a list or an object has none. */
function asText(value: unknown): string | null {
  if (typeof value === "boolean" || Number.isSafeInteger(value)) return String(value);
  return isPlainText(value) ? value : null;
}

/** Equal in type and value: the text `"true"` is not the boolean `true`. */
export function checkRequiredClaims(claims: JsonMap, required: readonly RequiredClaim[]): void {
  for (const { path, value } of required) {
    if (claimAt(claims, path) !== value) {
      throw new Refusal("claims", `the token's claim ${path.join("/")} is not as required`);
    }
  }
}
