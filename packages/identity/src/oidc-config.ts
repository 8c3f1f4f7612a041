import { isTrustDomain } from "@mayfly/spec";
import { z } from "zod";
import { OIDC_ALGORITHMS } from "./algorithms.ts";
import { parseClaimPath, type ClaimPath } from "./claim-path.ts";
import { configInvalid, parseStrictly } from "./config-error.ts";
import { isJsonMap, type JsonMap } from "./parse-compact-jwt.ts";
import { parseJwkSet } from "./parse-jwk-set.ts";
import { presetNames, presets, type Preset } from "./presets/presets.ts";
import {
  absentClaims,
  algorithmList,
  commonMembers,
  fetchUrl,
  inlineJwks,
  needsUnsafe,
  requiredText,
  seconds,
} from "./trust-config.ts";

/**
 * An issuer is compared byte for byte and never normalised: one with a trailing slash is another
 * one. OpenID Connect Discovery section 3: no query and no fragment.
 */
const issuer = fetchUrl.refine((text) => !/[?{}\\]/.test(text), {
  message: "expected the issuer exactly as its tokens have it, without a query or placeholders",
});

const schema = z.strictObject({
  ...commonMembers,
  issuer,
  /** One per key type by default, so that a key serves one algorithm (RFC 8725 section 3.1). */
  algorithms: algorithmList(OIDC_ALGORITHMS).default(["RS256", "ES256", "ES384"]),
  /** Instead of discovery. */
  jwks_uri: fetchUrl.optional(),
  /** Keys given here: nothing is fetched. */
  jwks: inlineJwks.optional(),
  token_age_seconds_max: seconds(1, 86_400).default(3600),
  /** Each token is accepted once; it must have a `jti`. */
  one_time_tokens: z.boolean().default(false),
  // Stored only if given, as the version before knows none of them.
  /**
   * Whether the issuer is itself a client of the broker, by keys that are given here: its tokens
   * are assertions of who it is (`private_key_jwt`, RFC 7523), with `sub` the same as `iss`, and
   * count as nothing else.
   */
  client: z.boolean().optional(),
  required_text: requiredText.optional(),
  /** A token that has one of these claims is of another kind, such as a person's. */
  absent_claims: absentClaims.optional(),
  /**
   * The Kubernetes cluster whose API server is asked of each token besides (TokenReview), by the
   * name that the broker's operators gave it.
   */
  token_review: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$/, "expected the name of a cluster")
    .optional(),
  /**
   * Its subjects are SPIFFE IDs of this trust domain, as SPIRE's OIDC discovery provider vouches
   * for them, and its workloads are those of the trust domain.
   */
  trust_domain: z
    .string()
    .refine(isTrustDomain, { message: "expected a trust domain such as acme.test" })
    .optional(),
});
export type OidcConfig = z.output<typeof schema>;

/** The JSON Schema of what a platform team writes is this one plus `preset`. */
export const oidcConfigSchema = schema.partial({ issuer: true }).extend({
  preset: z.enum(presetNames).optional(),
});

/** Tokens are compared by their issuer as it stands; here, what means one place is one place. */
const comparable = (url: string): string => new URL(url).href.replace(/\/+$/, "");

/**
 * Strict. A `preset` is resolved here and not kept: what a registered root trusts never changes
 * with a new version of the presets.
 */
export function parseOidcConfig(root: string, ownIssuer: string, input: unknown): OidcConfig {
  const config = parseStrictly(schema, root, withPreset(root, input));
  // Its own backends issue tokens too, for APIs: no proof of who somebody is.
  if (
    comparable(config.issuer) === comparable(ownIssuer) ||
    comparable(config.issuer).startsWith(`${comparable(ownIssuer)}/backends/`)
  ) {
    throw configInvalid(root, "issuer", "the broker is no identity provider for itself");
  }
  if (config.jwks !== undefined && config.jwks_uri !== undefined) {
    throw configInvalid(root, "jwks", "give jwks or jwks_uri, not both");
  }
  const fetched = config.jwks === undefined ? [config.jwks_uri ?? config.issuer] : [];
  if (fetched.some(needsUnsafe) && !config.unsafe_allow_private_addresses) {
    const where = config.jwks_uri === undefined ? "issuer" : "jwks_uri";
    throw configInvalid(root, where, "expected https; http needs unsafe_allow_private_addresses");
  }
  if (config.administrators === true && config.one_time_tokens) {
    throw configInvalid(root, "administrators", "an administrator shows one token for many calls");
  }
  checkInlineKeys(root, config);
  checkClient(root, config);
  checkCallerChosenClaims(root, config);
  return config;
}

/** RFC 7523 section 3: an assertion counts once, and nobody has a person's or another's. */
function checkClient(root: string, config: OidcConfig): void {
  if (config.client !== true) return;
  if (config.jwks === undefined && config.jwks_uri === undefined) {
    throw configInvalid(root, "client", "a client has no discovery: give jwks or jwks_uri");
  }
  if (!config.one_time_tokens) {
    throw configInvalid(
      root,
      "one_time_tokens",
      "a client's assertion counts once: set it to true",
    );
  }
  if (config.initiators) {
    throw configInvalid(root, "initiators", "a client is no person");
  }
  if (config.trust_domain !== undefined) {
    throw configInvalid(root, "trust_domain", "a client is named by its issuer");
  }
}

function checkInlineKeys(root: string, { jwks, algorithms }: OidcConfig): void {
  if (jwks === undefined || jwks.keys.length === 0) return;
  if (parseJwkSet(jwks, { algorithms, profile: "oidc" }).keys.length === 0) {
    throw configInvalid(
      root,
      "jwks",
      "none of the keys serves one of `algorithms` (give each an `alg`; RSA needs 2048 bits)",
    );
  }
}

/** Lays a file over its preset; attributes and required claims are added, never redefined. */
function withPreset(root: string, input: unknown): unknown {
  if (!isJsonMap(input) || input["preset"] === undefined) return input;
  const { preset: name, ...own } = input;
  const known = presetNames.find((each) => each === name);
  if (known === undefined) {
    throw configInvalid(root, "preset", `expected one of ${presetNames.join(", ")}`);
  }
  const preset: Preset = presets[known];
  if (preset.issuer === null && own["issuer"] === undefined) {
    throw configInvalid(root, "issuer", `expected one: ${preset.issuerHint}`);
  }
  const issuerText = own["issuer"] ?? preset.issuer;
  const match = typeof issuerText === "string" ? preset.issuerPattern.exec(issuerText) : null;
  if (typeof issuerText === "string" && match === null) {
    throw configInvalid(root, "issuer", `is not of preset ${known}: ${preset.issuerHint}`);
  }
  if (preset.trustDomain && own["trust_domain"] === undefined) {
    throw configInvalid(root, "trust_domain", "expected the trust domain of the SPIFFE IDs");
  }
  const requiredClaims = { ...preset.requiredClaims, ...match?.groups };
  return {
    issuer: issuerText,
    algorithms: preset.algorithms,
    one_time_tokens: preset.oneTimeTokens,
    token_age_seconds_max: preset.tokenAgeSecondsMax,
    ...own,
    attributes: added(root, "attributes", preset.attributes, own["attributes"]),
    required_claims: added(root, "required_claims", requiredClaims, own["required_claims"]),
    ...(preset.requiredText === null
      ? {}
      : {
          required_text: added(root, "required_text", preset.requiredText, own["required_text"]),
        }),
    ...absentWith(preset.absentClaims, own["absent_claims"]),
  };
}

function absentWith(preset: readonly string[], own: unknown): { readonly absent_claims?: unknown } {
  if (own !== undefined && !Array.isArray(own)) return { absent_claims: own };
  const added: readonly unknown[] = own ?? [];
  const all = [...preset, ...added];
  return all.length === 0 ? {} : { absent_claims: all };
}

function added(root: string, where: string, preset: JsonMap, own: unknown): unknown {
  if (own === undefined) return preset;
  if (!isJsonMap(own)) return own;
  const twice = Object.keys(own).find((name) => Object.hasOwn(preset, name));
  if (twice !== undefined) {
    throw configInvalid(root, `${where}.${twice}`, "is given by the preset already");
  }
  return { ...preset, ...own };
}

/** A claim that the token's requester chose says nothing of who it is, with a preset or without. */
function checkCallerChosenClaims(root: string, config: OidcConfig): void {
  const chosen = Object.values(presets)
    .filter((preset: Preset) => preset.issuerPattern.test(config.issuer))
    .flatMap((preset: Preset) => preset.callerChosenClaims);
  const used: readonly (readonly [string, string])[] = [
    ...Object.entries(config.attributes).map(
      ([name, { claim }]) => [`attributes.${name}`, claim] as const,
    ),
    ...Object.entries(config.memberships ?? {}).map(
      ([name, { claim }]) => [`memberships.${name}`, claim] as const,
    ),
    ...Object.keys(config.required_claims).map(
      (claim) => [`required_claims.${claim}`, claim] as const,
    ),
    ...Object.keys(config.required_text ?? {}).map(
      (claim) => [`required_text.${claim}`, claim] as const,
    ),
  ];
  for (const [where, claim] of used) {
    if (chosen.some((prefix) => isWithin(parseClaimPath(claim), parseClaimPath(prefix)))) {
      throw configInvalid(root, where, "the issuer lets the caller choose this claim");
    }
  }
}

function isWithin(path: ClaimPath | null, prefix: ClaimPath | null): boolean {
  return prefix !== null && path !== null && prefix.every((name, index) => path[index] === name);
}
