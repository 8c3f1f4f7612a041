import type { Algorithm } from "../algorithms.ts";

export interface PresetAttribute {
  readonly claim: string;
  readonly stability: "immutable" | "mutable";
  /** Some tokens lack it. */
  readonly optional?: true;
}

/**
 * What is particular to a vendor's tokens, as data. The attributes are claims that its tokens
 * have, all of them unless `optional`; `immutable` are those that nobody else can come to have, by
 * renaming or by recreating under the same name.
 */
export interface Preset {
  readonly title: string;
  /** The vendor's page that says so. */
  readonly source: string;
  /** The one issuer, or null where each customer has its own. */
  readonly issuer: string | null;
  /** What a named group matches, the claim of that name must have: `tid` of an Entra issuer. */
  readonly issuerPattern: RegExp;
  readonly issuerHint: string;
  readonly algorithms: readonly Algorithm[];
  readonly oneTimeTokens: boolean;
  readonly tokenAgeSecondsMax: number;
  readonly attributes: Readonly<Record<string, PresetAttribute>>;
  readonly requiredClaims: Readonly<Record<string, string | number | boolean>>;
  /** What a claim's text begins or ends with, or null: tells workloads from others. */
  readonly requiredText: Readonly<
    Record<string, { readonly starts_with?: string; readonly ends_with?: string }>
  > | null;
  /** Claims that mark a token as somebody else's than a workload's. */
  readonly absentClaims: readonly string[];
  /** Claims that whoever asks for the token fills in: no attribute may be read from them. */
  readonly callerChosenClaims: readonly string[];
  /** Whether the subjects are SPIFFE IDs, of a trust domain that the configuration names. */
  readonly trustDomain: boolean;
  /** What whoever registers it should know, a sentence each: shown before a yes. */
  readonly traps: readonly string[];
}
