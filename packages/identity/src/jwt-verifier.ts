import { hash } from "node:crypto";
import {
  type CallContext,
  type DurationSeconds,
  type TrustRootName,
  type VerifiedIdentity,
  type Workload,
} from "@mayfly/spec";
import { checkAudience } from "./check-audience.ts";
import { checkHeader, type HeaderRules } from "./check-header.ts";
import { checkTimes, type TimeRules } from "./check-times.ts";
import type { KeySource } from "./key-source.ts";
import { member, type CompactJwt, type JsonMap } from "./parse-compact-jwt.ts";
import {
  checkRequiredClaims,
  isPlainText,
  readAttributes,
  readMemberships,
  type AttributeRule,
  type MembershipRule,
  type RequiredClaim,
} from "./read-attributes.ts";
import { readDelegation } from "./read-delegation.ts";
import { Refusal } from "./refusal.ts";
import { createRootVerifier, type ProofVerifier, type RootVerifier } from "./root-verifier.ts";
import type { VerifiedTokens } from "./verified-tokens.ts";
import { verifySignature, type KidlessRule } from "./verify-signature.ts";

/** What distinguishes one trust root from another. */
export interface JwtTrust {
  readonly name: TrustRootName;
  readonly header: HeaderRules;
  readonly keys: KeySource;
  readonly kidless: KidlessRule;
  readonly audience: string;
  readonly allowOtherAudiences: boolean;
  readonly times: TimeRules;
  readonly attributes: readonly AttributeRule[];
  readonly memberships: readonly MembershipRule[];
  readonly requiredClaims: readonly RequiredClaim[];
  readonly identityMaxAgeSeconds: DurationSeconds;
  /** Whether a token may be used once. */
  readonly oneTime: boolean;
  /** Whether its identities may be initiators. */
  readonly mayInitiate: boolean;
  /** Whether its identities may administer, where policies permit. */
  readonly mayAdminister: boolean;
  /** Whether its identities count only with proof of a key, which is looked at elsewhere. */
  readonly mustProvePossession: boolean;
  /** A1. On unverified claims. */
  routes(claims: JsonMap): boolean;
  /** On verified claims: whose token it is; throws a Refusal. */
  identify(claims: JsonMap): Pick<Workload, "kind" | "issuer" | "subject">;
}

/** A trust root whose one proof is a JWT. */
export const createJwtVerifier = (trust: JwtTrust, verified: VerifiedTokens): RootVerifier =>
  createRootVerifier(trust.name, [createJwtProof(trust, verified)], trust.keys);

export function createJwtProof(trust: JwtTrust, verified: VerifiedTokens): ProofVerifier {
  const owner = {};

  const claimsOf = async (
    jwt: CompactJwt,
    sha256: string,
    context: CallContext,
  ): Promise<JsonMap> => {
    const fresh = trust.oneTime ? null : trust.keys.fresh(context);
    const known = fresh === null ? null : verified.find(sha256, owner, fresh, context.clock.now());
    if (known !== null) return known;
    const header = checkHeader(jwt.header, trust.header);
    const { claims, keys } = await verifySignature(jwt, header, trust.keys, trust.kidless, context);
    if (!trust.oneTime) {
      const { expiresAt } = checkTimes(claims, trust.times, context.clock.now());
      verified.keep(sha256, { owner, keys, claims, expiresAt });
    }
    return claims;
  };

  return {
    routes: (presented) => presented.kind === "jwt" && trust.routes(presented.jwt.claims),
    verify: async (presented, context, stillTrusted) => {
      if (presented.kind !== "jwt") throw new Refusal("unsupported_kind", "not a JWT");
      const sha256 = hash("sha256", presented.jwt.compact, "hex");
      const claims = await claimsOf(presented.jwt, sha256, context);
      stillTrusted();
      return vouch(trust, claims, sha256, context);
    },
  };
}

function vouch(
  trust: JwtTrust,
  claims: JsonMap,
  sha256: string,
  { clock }: CallContext,
): VerifiedIdentity {
  const now = clock.now();
  const identified = trust.identify(claims);
  checkAudience(claims, trust.audience, trust.allowOtherAudiences);
  const { expiresAt, refusedFrom } = checkTimes(claims, trust.times, now);
  // A token that is bound to a key proves nothing without that key (RFC 7800 section 3.1), and
  // nothing here asks for it.
  if (Object.hasOwn(claims, "cnf")) {
    throw new Refusal("bound_token", "the token is bound to a key whose possession was not proven");
  }
  checkRequiredClaims(claims, trust.requiredClaims);
  const delegation = readDelegation(claims);
  const workload = {
    trustRoot: trust.name,
    ...identified,
    attributes: {
      ...readAttributes(claims, trust.attributes),
      ...readMemberships(claims, trust.memberships),
    },
  };
  return {
    workload,
    expiresAt,
    identityMaxAgeSeconds: trust.identityMaxAgeSeconds,
    provenAt: now,
    tokenSha256: sha256,
    oneTime: trust.oneTime
      ? {
          issuer: workload.issuer,
          jti: readJti(claims),
          // Remembered for as long as the token would be accepted, and no longer: whatever its exp.
          expiresAt: refusedFrom,
        }
      : null,
    confirmation: null,
    mayInitiate: trust.mayInitiate,
    mayAdminister: trust.mayAdminister,
    mustProvePossession: trust.mustProvePossession,
    ...(delegation === null ? {} : { delegation }),
  };
}

function readJti(claims: JsonMap): string {
  const jti = member(claims, "jti");
  if (!isPlainText(jti) || jti === "") {
    throw new Refusal("claims", "the token may be used once and has no jti");
  }
  return jti;
}
