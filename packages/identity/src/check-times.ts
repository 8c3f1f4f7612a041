import { instantMs, type InstantMs } from "@mayfly/spec";
import { member, type JsonMap } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";

/** Other machines' clocks may differ by so much and no more. */
export const SKEW_SECONDS_MAX = 60;
/** 9999-12-31T23:59:59Z: beyond it, a number is not a time. */
const NUMERIC_DATE_MAX = 253_402_300_799;

export interface TimeRules {
  readonly skewSeconds: number;
  /** Oldest accepted `iat`; null: `iat` may be absent, and its age is not looked at. */
  readonly ageSecondsMax: number | null;
}
export interface CheckedTimes {
  readonly expiresAt: InstantMs;
  /** From when the token is refused, for its end or its age. */
  readonly refusedFrom: InstantMs;
}

/** RFC 7519 sections 4.1.4 to 4.1.6. A token without `exp` never ends and is refused. */
export function checkTimes(claims: JsonMap, rules: TimeRules, now: InstantMs): CheckedTimes {
  const nowSeconds = now / 1000;
  const exp = numericDate(claims, "exp");
  const nbf = numericDate(claims, "nbf");
  const iat = numericDate(claims, "iat");
  if (exp === null) throw new Refusal("time", "the token has no exp");
  if (nowSeconds >= exp + rules.skewSeconds) throw new Refusal("time", "the token has expired");
  if (nbf !== null && nowSeconds < nbf - rules.skewSeconds) {
    throw new Refusal("time", "the token is not valid yet");
  }
  if (iat !== null && nowSeconds < iat - rules.skewSeconds) {
    throw new Refusal("time", "the token was issued in the future");
  }
  const ageEnds = rules.ageSecondsMax === null ? null : ageEnd(iat, rules.ageSecondsMax);
  if (ageEnds !== null && nowSeconds > ageEnds + rules.skewSeconds) {
    throw new Refusal("time", "the token is older than the trust root allows");
  }
  const ends = Math.min(exp, ageEnds ?? exp);
  return {
    expiresAt: instantMs(Math.floor(exp * 1000)),
    // A second more than the age, at whose very end it still counts.
    refusedFrom: instantMs(Math.floor(ends * 1000) + (rules.skewSeconds + 1) * 1000),
  };
}

function ageEnd(iat: number | null, ageSecondsMax: number): number {
  if (iat === null) throw new Refusal("time", "the token has no iat");
  return iat + ageSecondsMax;
}

function numericDate(claims: JsonMap, name: string): number | null {
  const value = member(claims, name);
  if (value === undefined) return null;
  if (typeof value !== "number" || !(value >= 0 && value <= NUMERIC_DATE_MAX)) {
    throw new Refusal("time", `the token's ${name} is not a time`);
  }
  return value;
}
