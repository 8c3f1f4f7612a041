import type { Algorithm } from "../algorithms.ts";

/**
 * What is particular to a vendor's tokens, as data. The attributes are claims that its tokens
 * always have; `immutable` are those that nobody else can come to have, by renaming or by
 * recreating under the same name.
 */
export interface Preset {
  readonly title: string;
  /** The vendor's page that says so. */
  readonly source: string;
  /** The one issuer, or null where each customer has its own. */
  readonly issuer: string | null;
  readonly issuerPattern: RegExp;
  readonly issuerHint: string;
  readonly algorithms: readonly Algorithm[];
  readonly oneTimeTokens: boolean;
  readonly tokenAgeSecondsMax: number;
  readonly attributes: Readonly<
    Record<string, { readonly claim: string; readonly stability: "immutable" | "mutable" }>
  >;
  readonly requiredClaims: Readonly<Record<string, string | number | boolean>>;
  /** Claims that whoever asks for the token fills in: no attribute may be read from them. */
  readonly callerChosenClaims: readonly string[];
}
