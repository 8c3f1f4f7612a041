import type { BundleSequences, Log, OutboundHttp, TokenReviews, WorkloadApi } from "@mayfly/spec";
import { parseClaimPath, type ClaimPath } from "./claim-path.ts";
import type {
  AttributeRule,
  MembershipRule,
  RequiredClaim,
  RequiredText,
} from "./read-attributes.ts";
import type { OwnSvid } from "./own-svid.ts";
import type { VerifiedTokens } from "./verified-tokens.ts";
import type { Certificate } from "./x509/certificate.ts";
import type { KnownCertificates } from "./x509/known-certificates.ts";

/** What every verifier of one process shares. */
export interface VerifierParts {
  readonly http: OutboundHttp;
  /** Of a trust domain, as its one enabled root holds them now; null where there is none such. */
  authoritiesOf(trustDomain: string): readonly Certificate[] | null;
  /** The SPIFFE agent beside this process; null where there is none. */
  readonly workloadApi: WorkloadApi | null;
  /** Of this process, for whoever asks for a client certificate. */
  readonly ownSvid: OwnSvid;
  /** What was ever seen of bundles that have a sequence. */
  readonly sequences: BundleSequences;
  /** The broker's issuer: the audience, unless the configuration names another. */
  readonly audience: string;
  readonly skewSeconds: number;
  readonly verified: VerifiedTokens;
  readonly known: KnownCertificates;
  /** Clusters whose API servers can be asked. Absent: this process may ask none. */
  readonly reviews?: TokenReviews;
  readonly log: Log;
}

export function attributeRules(
  attributes: Readonly<
    Record<
      string,
      {
        readonly claim: string;
        readonly stability: AttributeRule["stability"];
        readonly optional?: boolean | undefined;
      }
    >
  >,
): readonly AttributeRule[] {
  return Object.entries(attributes).map(([name, { claim, stability, optional }]) => ({
    name,
    path: pathOf(claim),
    stability,
    optional: optional === true,
  }));
}

export function membershipRules(
  memberships: Readonly<
    Record<string, Omit<MembershipRule, "name" | "path"> & { readonly claim: string }>
  > = {},
): readonly MembershipRule[] {
  return Object.entries(memberships).map(([name, { claim, ...rule }]) => ({
    name,
    path: pathOf(claim),
    ...rule,
  }));
}

export function requiredClaimRules(
  required: Readonly<Record<string, RequiredClaim["value"]>>,
): readonly RequiredClaim[] {
  return Object.entries(required).map(([claim, value]) => ({ path: pathOf(claim), value }));
}

export function requiredTextRules(
  required: Readonly<
    Record<
      string,
      { readonly starts_with?: string | undefined; readonly ends_with?: string | undefined }
    >
  > = {},
): readonly RequiredText[] {
  return Object.entries(required).map(([claim, { starts_with: start, ends_with: end }]) => ({
    path: pathOf(claim),
    startsWith: start ?? "",
    endsWith: end ?? "",
  }));
}

export const absentClaimRules = (absent: readonly string[] = []): readonly ClaimPath[] =>
  absent.map(pathOf);

function pathOf(claim: string): ClaimPath {
  const path = parseClaimPath(claim);
  // The configuration was parsed: a path that is none now is a defect.
  if (path === null) throw new Error("a parsed trust configuration holds an unusable claim path");
  return path;
}
