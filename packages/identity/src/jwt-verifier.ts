import { hash } from "node:crypto";
import {
  plusSeconds,
  type CallContext,
  type DurationSeconds,
  type IdentityVerifier,
  type PresentedIdentity,
  type TrustRootName,
  type VerifiedIdentity,
  type Workload,
} from "@mayfly/spec";
import { checkAudience } from "./check-audience.ts";
import { checkHeader, type HeaderRules } from "./check-header.ts";
import { checkTimes, type TimeRules } from "./check-times.ts";
import type { KeySource } from "./key-source.ts";
import { member, parseCompactJwt, type CompactJwt, type JsonMap } from "./parse-compact-jwt.ts";
import {
  checkRequiredClaims,
  isPlainText,
  readAttributes,
  readMemberships,
  type AttributeRule,
  type MembershipRule,
  type RequiredClaim,
} from "./read-attributes.ts";
import { invalidIdentity, Refusal } from "./refusal.ts";
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

/** A verifier that can be withdrawn: from then on it vouches for nothing, not even under way. */
export interface RootVerifier extends IdentityVerifier {
  routes(jwt: CompactJwt): boolean;
  verifyJwt(jwt: CompactJwt, context: CallContext): Promise<VerifiedIdentity>;
  close(): void;
}

export function createJwtVerifier(trust: JwtTrust, verified: VerifiedTokens): RootVerifier {
  let closed = false;
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

  const verifyJwt = async (jwt: CompactJwt, context: CallContext): Promise<VerifiedIdentity> => {
    const sha256 = hash("sha256", jwt.compact, "hex");
    const claims = await claimsOf(jwt, sha256, context);
    if (closed) throw new Refusal("withdrawn", "the trust root was removed");
    return vouch(trust, claims, sha256, context);
  };

  return {
    name: trust.name,
    routes: (jwt) => trust.routes(jwt.claims),
    claims: (presented) => {
      const jwt = tryParse(presented);
      return jwt !== null && trust.routes(jwt.claims);
    },
    verify: async (presented, context) => {
      try {
        return await verifyJwt(parsePresented(presented), context);
      } catch (error) {
        throw invalidIdentity(error);
      }
    },
    verifyJwt,
    close: () => {
      closed = true;
      trust.keys.close();
    },
  };
}

/** Takes the token out of its wrapper; X.509 chains have no verifier here. */
export function parsePresented(presented: PresentedIdentity): CompactJwt {
  switch (presented.kind) {
    case "jwt":
      return parseCompactJwt(presented.token.expose("crypto"));
    case "x509":
      throw new Refusal("unsupported_kind", "no trust root takes X.509 certificates");
    default:
      throw new Refusal("unsupported_kind", "an unknown kind of identity");
  }
}

function tryParse(presented: PresentedIdentity): CompactJwt | null {
  try {
    return parsePresented(presented);
  } catch {
    return null;
  }
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
  const { expiresAt } = checkTimes(claims, trust.times, now);
  // A token that is bound to a key proves nothing without that key (RFC 7800 section 3.1), and
  // nothing here asks for it.
  if (Object.hasOwn(claims, "cnf")) {
    throw new Refusal("bound_token", "the token is bound to a key whose possession was not proven");
  }
  checkRequiredClaims(claims, trust.requiredClaims);
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
          // Remembered for as long as the token would be accepted.
          expiresAt: plusSeconds(expiresAt, trust.times.skewSeconds),
        }
      : null,
    confirmation: null,
    mayInitiate: trust.mayInitiate,
    mayAdminister: trust.mayAdminister,
    mustProvePossession: trust.mustProvePossession,
  };
}

function readJti(claims: JsonMap): string {
  const jti = member(claims, "jti");
  if (!isPlainText(jti) || jti === "") {
    throw new Refusal("claims", "the token may be used once and has no jti");
  }
  return jti;
}
