import type { WorkloadAttribute } from "@mayfly/spec";
import { claimAt, type ClaimPath } from "./claim-path.ts";
import type { JsonMap } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";

export interface AttributeRule {
  readonly name: string;
  readonly path: ClaimPath;
  readonly stability: WorkloadAttribute["stability"];
  /** Whether a token without it is accepted, and its workload lacks the attribute. */
  readonly optional: boolean;
}
export interface RequiredClaim {
  readonly path: ClaimPath;
  readonly value: string | number | boolean;
}
export interface RequiredText {
  readonly path: ClaimPath;
  readonly startsWith: string;
  readonly endsWith: string;
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

/**
 * A declared attribute is required: a policy may rely on what the trust root declares. One that is
 * declared as optional may be absent, and never be of a form that has no text.
 */
export function readAttributes(
  claims: JsonMap,
  rules: readonly AttributeRule[],
): Readonly<Record<string, WorkloadAttribute>> {
  const entries = rules.flatMap((rule) => {
    const claim = claimAt(claims, rule.path);
    if (claim === undefined && rule.optional) return [];
    const value = asText(claim);
    if (value === null) {
      throw new Refusal("attributes", `the token lacks the declared attribute ${rule.name}`);
    }
    return [[rule.name, { value, stability: rule.stability }] as const];
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

/** Text that begins and ends as required: whatever is no text does neither. */
export function checkRequiredText(claims: JsonMap, required: readonly RequiredText[]): void {
  for (const { path, startsWith, endsWith } of required) {
    const value = claimAt(claims, path);
    const fits =
      typeof value === "string" &&
      value.length >= startsWith.length + endsWith.length &&
      value.startsWith(startsWith) &&
      value.endsWith(endsWith);
    if (!fits) {
      throw new Refusal("claims", `the text of the token's claim ${path.join("/")} does not fit`);
    }
  }
}

/** A claim that is there at all, null included, makes the token one of another kind. */
export function checkAbsentClaims(claims: JsonMap, absent: readonly ClaimPath[]): void {
  for (const path of absent) {
    if (claimAt(claims, path) !== undefined) {
      throw new Refusal("claims", `the token has the claim ${path.join("/")}`);
    }
  }
}
