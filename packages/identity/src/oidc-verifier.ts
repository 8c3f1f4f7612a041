import {
  durationSeconds,
  type CallContext,
  type OutboundHttp,
  type TokenReviews,
  type TrustRootName,
  type Workload,
  parseWorkloadId,
} from "@mayfly/spec";
import { configInvalid } from "./config-error.ts";
import { fetchDocument, type FetchLimits } from "./fetch-document.ts";
import { createJwtVerifier } from "./jwt-verifier.ts";
import { inlineKeys, type KeySource } from "./key-source.ts";
import type { OidcConfig } from "./oidc-config.ts";
import { isJsonMap, member } from "./parse-compact-jwt.ts";
import { parseJwkSet, type JwkSetRules } from "./parse-jwk-set.ts";
import { checkAbsentClaims, checkRequiredText, isPlainText } from "./read-attributes.ts";
import { Refusal } from "./refusal.ts";
import type { RootVerifier } from "./root-verifier.ts";
import { reviewedVerifier } from "./reviewed-verifier.ts";
import { createRemoteKeys, type FetchedKeys } from "./remote-keys.ts";
import {
  absentClaimRules,
  attributeRules,
  membershipRules,
  requiredClaimRules,
  requiredTextRules,
  type VerifierParts,
} from "./verifier-parts.ts";

/** `x5t` names a certificate and `kid` a key; neither brings one along. */
const HEADER_MEMBERS = ["alg", "kid", "typ", "x5t", "x5t#S256"] as const;
const AGE_SECONDS_MIN = 60;
const AGE_SECONDS_DEFAULT = 600;

/**
 * Tokens of one OpenID Connect issuer: RFC 7519 under the rules of RFC 8725. `iat` and `sub` are
 * required besides `exp` and `aud`.
 */
export function createOidcVerifier(
  name: TrustRootName,
  config: OidcConfig,
  parts: VerifierParts,
): RootVerifier {
  const verifier = createIssuerVerifier(name, config, parts);
  const by = reviewedBy(name, config, parts.reviews ?? null);
  const audience = config.audience ?? parts.audience;
  return by === null ? verifier : reviewedVerifier(verifier, { ...by, audience });
}

/** Who reviews the tokens besides, or null. Throws `config_invalid` for an unknown cluster. */
export function reviewedBy(
  name: string,
  { token_review: cluster }: OidcConfig,
  reviews: TokenReviews | null,
): { readonly cluster: string; readonly reviews: TokenReviews } | null {
  if (cluster === undefined) return null;
  if (reviews?.clusters.includes(cluster) === true) return { cluster, reviews };
  throw configInvalid(name, "token_review", "this broker was given no cluster of that name");
}

function createIssuerVerifier(
  name: TrustRootName,
  config: OidcConfig,
  parts: VerifierParts,
): RootVerifier {
  const requiredText = requiredTextRules(config.required_text);
  const absentClaims = absentClaimRules(config.absent_claims);
  return createJwtVerifier(
    {
      name,
      header: {
        algorithms: config.algorithms,
        members: HEADER_MEMBERS,
        // Other types are other things: at+jwt, dpop+jwt, logout+jwt, secevent+jwt, …
        // A client's has one of its own since draft-ietf-oauth-rfc7523bis.
        typeAllowed: (typ) =>
          typ === null ||
          /^(?:application\/)?jwt$/i.test(typ) ||
          (config.client === true && typ === "client-authentication+jwt"),
      },
      keys: keySource(name, config, parts),
      kidless: "sole",
      audience: config.audience ?? parts.audience,
      allowOtherAudiences: config.unsafe_allow_other_audiences,
      times: { skewSeconds: parts.skewSeconds, ageSecondsMax: config.token_age_seconds_max },
      attributes: attributeRules(config.attributes),
      memberships: membershipRules(config.memberships),
      requiredClaims: requiredClaimRules(config.required_claims),
      identityMaxAgeSeconds: durationSeconds(config.identity_max_age_seconds),
      oneTime: config.one_time_tokens,
      mayInitiate: config.initiators,
      mayAdminister: config.administrators === true,
      mustProvePossession: config.proof_of_possession === "required",
      routes: (claims) => member(claims, "iss") === config.issuer,
      identify: (claims) => {
        if (member(claims, "iss") !== config.issuer) {
          throw new Refusal("issuer", "the token is of another issuer");
        }
        checkRequiredText(claims, requiredText);
        checkAbsentClaims(claims, absentClaims);
        return whose(member(claims, "sub"), config);
      },
    },
    parts.verified,
  );
}

type Whose = Pick<Workload, "kind" | "issuer" | "subject">;

function whose(subject: unknown, { issuer, client, trust_domain: trustDomain }: OidcConfig): Whose {
  if (!isPlainText(subject) || subject === "") {
    throw new Refusal("subject", "the token's sub is not plain text");
  }
  if (client === true && subject !== issuer) {
    throw new Refusal("subject", "a client's sub is its iss");
  }
  if (trustDomain !== undefined) {
    const id = parseWorkloadId(subject);
    if (id?.trustDomain !== trustDomain) {
      throw new Refusal("subject", "sub is not the id of a workload of the trust domain");
    }
    return { kind: "spiffe", issuer: `spiffe://${trustDomain}`, subject: id.id };
  }
  // Whoever chooses a sub at an issuer would pass for a workload of a trust domain wherever a
  // policy, a query or a person looks at the subject alone.
  if (/^\s*spiffe:/i.test(subject)) {
    throw new Refusal("subject", "the token's sub looks like a SPIFFE ID");
  }
  return { kind: "oidc", issuer, subject };
}

function keySource(name: TrustRootName, config: OidcConfig, parts: VerifierParts): KeySource {
  const { jwks } = config;
  if (jwks !== undefined) return inlineKeys(parseJwkSet(jwks, oidcKeysRules(config)));
  return createRemoteKeys({
    fetch: (context) => fetchOidcKeys(config, parts.http, context),
    ageSecondsMin: AGE_SECONDS_MIN,
    ageSecondsDefault: AGE_SECONDS_DEFAULT,
    staleSecondsMax: config.stale_keys_seconds_max,
    log: parts.log.child({ trustRoot: name }),
  });
}

export const oidcKeysRules = ({ algorithms }: OidcConfig): JwkSetRules => ({
  algorithms,
  profile: "oidc",
});

/** One look: discovery, unless the configuration names the keys' address, and the keys. */
export async function fetchOidcKeys(
  config: OidcConfig,
  http: OutboundHttp,
  context: CallContext,
): Promise<FetchedKeys> {
  const limits = { unsafeAllowPrivate: config.unsafe_allow_private_addresses };
  const uri = config.jwks_uri ?? (await discover(config.issuer, http, limits, context));
  const { body, maxAgeSeconds } = await fetchDocument(http, uri, limits, context);
  return { keys: parseJwkSet(body, oidcKeysRules(config)), maxAgeSeconds };
}

/** OpenID Connect Discovery section 4.3: the document must name the issuer that was asked for. */
async function discover(
  issuer: string,
  http: OutboundHttp,
  limits: FetchLimits,
  context: CallContext,
): Promise<string> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const { body } = await fetchDocument(http, url, limits, context);
  const named = isJsonMap(body) ? member(body, "issuer") : undefined;
  if (!isJsonMap(body) || named !== issuer) {
    throw new Refusal("keys_unavailable", `the discovery document ${otherIssuer(named, issuer)}`);
  }
  const uri = member(body, "jwks_uri");
  const usable =
    typeof uri === "string" &&
    (uri.startsWith("https://") || (limits.unsafeAllowPrivate && uri.startsWith("http://")));
  if (!usable) {
    throw new Refusal("keys_unavailable", "the discovery document has no https jwks_uri");
  }
  return uri;
}

/** The mistakes that are made, in words of ours: what the document says is a stranger's text. */
function otherIssuer(named: unknown, issuer: string): string {
  if (typeof named !== "string") return "names no issuer";
  if (named.replace(/\/$/, "") === issuer.replace(/\/$/, "")) {
    return named.endsWith("/")
      ? "names the issuer with a trailing slash: tokens have it too, so the trust root needs it"
      : "names the issuer without the trailing slash: tokens have none, so the trust root has none";
  }
  if (/[{}]/.test(named)) {
    return "has a template for its issuer: give the issuer with the tenant's id in it";
  }
  return "is of another issuer: give the issuer exactly as its tokens have it";
}
