import { member, type JsonMap } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";

/**
 * `aud` is us, compared byte for byte, and by default nobody else: whoever else is named could
 * present the token here in the workload's place.
 */
export function checkAudience(claims: JsonMap, audience: string, allowOthers: boolean): void {
  const aud = member(claims, "aud");
  const all: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!all.every((each) => typeof each === "string") || !all.includes(audience)) {
    throw new Refusal("audience", "the token is not addressed to this broker");
  }
  if (all.length > 1 && !allowOthers) {
    throw new Refusal("audience", "the token is addressed to others as well");
  }
}
