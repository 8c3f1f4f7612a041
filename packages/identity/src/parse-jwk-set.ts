import { createPublicKey, type KeyObject } from "node:crypto";
import { KEY_OF_ALGORITHM, type Algorithm } from "./algorithms.ts";
import { isJsonMap, member, type JsonMap } from "./parse-compact-jwt.ts";
import { isRocaModulus } from "./roca-modulus.ts";
import { Refusal } from "./refusal.ts";
import { readAuthority } from "./x509/read-authority.ts";
import type { Certificate } from "./x509/certificate.ts";

export interface VerificationKey {
  readonly kid: string | null;
  /** What this key may verify, already cut down to what the trust root allows. */
  readonly algorithms: readonly Algorithm[];
  readonly key: KeyObject;
}

/** One fetched or configured state of an issuer's keys. Its identity is its version. */
export interface KeySet {
  readonly keys: readonly VerificationKey[];
  /** Authorities that X509-SVIDs may end in: of a SPIFFE bundle alone. */
  readonly authorities: readonly Certificate[];
}

export interface JwkSetRules {
  readonly algorithms: readonly Algorithm[];
  /**
   * `oidc`: `use` is `sig` or absent, and a key serves one algorithm (RFC 8725 section 3.1).
   * `spiffe`: `use` is `jwt-svid` and `kid` is there (SPIFFE Trust Domain and Bundle section 4.2.2,
   * JWT-SVID section 5); an RSA key may serve RS and PS, as bundles name no algorithm.
   */
  readonly profile: "oidc" | "spiffe";
}

const KEYS_MAX = 100;
const RSA_BITS_MIN = 2048;
/** Verifying with a huge modulus or exponent is work that an issuer could make us do. */
const RSA_BITS_MAX = 8192;
const RSA_EXPONENT_MIN = 3n;
const RSA_EXPONENT_MAX = 2n ** 32n;
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] as const;

/**
 * A JWK set (RFC 7517 section 5). One key that cannot be used is skipped alone; a document that is
 * not a JWK set is refused whole. No usable key means that nothing is trusted.
 */
export function parseJwkSet(document: unknown, rules: JwkSetRules): KeySet {
  const keys = readJwks(document);
  if (keys === null) throw new Refusal("keys_unavailable", "the document is not a JWK set");
  const jwks = keys.filter(isJsonMap).filter((jwk) => !isPrivateJwk(jwk));
  return {
    keys: jwks.flatMap((jwk) => usableKey(jwk, rules) ?? []),
    authorities:
      rules.profile === "spiffe" ? jwks.flatMap((jwk) => usableAuthority(jwk) ?? []) : [],
  };
}

/** The members of `keys`, or null where there is no such list or it is too long. */
export function readJwks(document: unknown): readonly unknown[] | null {
  const keys = isJsonMap(document) ? member(document, "keys") : undefined;
  return Array.isArray(keys) && keys.length <= KEYS_MAX ? keys : null;
}

/** A key that shows its private half is anybody's, and trust configurations hold no secret. */
export function isPrivateJwk(jwk: JsonMap): boolean {
  return PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name));
}

/** The public key of a JWK, where it serves the algorithm: what RSA keys may be holds here too. */
export function publicKeyFor(jwk: JsonMap, algorithm: Algorithm): KeyObject | null {
  const { kty, crv } = KEY_OF_ALGORITHM[algorithm];
  const alg = member(jwk, "alg");
  const fits =
    member(jwk, "kty") === kty &&
    (crv === null || member(jwk, "crv") === crv) &&
    (alg === undefined || alg === algorithm);
  return fits ? importPublic(jwk) : null;
}

function usableKey(jwk: JsonMap, rules: JwkSetRules): VerificationKey | null {
  const kid = member(jwk, "kid");
  if (kid !== undefined && typeof kid !== "string") return null;
  if (!isForSignatures(jwk, kid, rules.profile)) return null;
  const algorithms = algorithmsOf(jwk, rules);
  const key = algorithms.length === 0 ? null : importPublic(jwk);
  return key === null ? null : { kid: kid ?? null, algorithms, key };
}

/**
 * SPIFFE Trust Domain and Bundle section 4.2, X509-SVID section 6.1: the first entry of `x5c`, and
 * that one alone, whose key is the JWK's own.
 */
function usableAuthority(jwk: JsonMap): Certificate | null {
  const chain = member(jwk, "x5c");
  const first: unknown = Array.isArray(chain) ? chain[0] : undefined;
  if (member(jwk, "use") !== "x509-svid" || typeof first !== "string") return null;
  const key = importPublic(jwk);
  const authority = key === null ? null : readAuthority(first);
  return key !== null && authority?.publicKey.equals(key) === true ? authority : null;
}

function isForSignatures(
  jwk: JsonMap,
  kid: string | undefined,
  profile: JwkSetRules["profile"],
): boolean {
  const use = member(jwk, "use");
  if (profile === "spiffe") return use === "jwt-svid" && kid !== undefined && kid !== "";
  const operations = member(jwk, "key_ops");
  return (
    (use === undefined || use === "sig") &&
    (operations === undefined || (Array.isArray(operations) && operations.includes("verify")))
  );
}

function algorithmsOf(jwk: JsonMap, rules: JwkSetRules): readonly Algorithm[] {
  const fitting = rules.algorithms.filter((algorithm) => {
    const { kty, crv } = KEY_OF_ALGORITHM[algorithm];
    return member(jwk, "kty") === kty && (crv === null || member(jwk, "crv") === crv);
  });
  const alg = member(jwk, "alg");
  if (alg !== undefined) return fitting.filter((algorithm) => algorithm === alg);
  // Without `alg` the configuration decides; two that fit would be two algorithms for one key.
  return rules.profile === "oidc" && fitting.length > 1 ? [] : fitting;
}

/**
 * Only the public numbers reach the platform: `use`, `x5c`, `x5u` and the rest are dropped, so that
 * no library acts on them (jose, for one, passes over a key whose `use` is not `sig`).
 */
function importPublic(jwk: JsonMap): KeyObject | null {
  const key = toKeyObject(jwk);
  if (key === null || key.asymmetricKeyType !== "rsa") return key;
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  // As the platform read it: the text of an exponent of 1 has more than one spelling.
  const exponent = key.asymmetricKeyDetails?.publicExponent ?? 1n;
  const usable =
    bits >= RSA_BITS_MIN &&
    bits <= RSA_BITS_MAX &&
    exponent >= RSA_EXPONENT_MIN &&
    exponent <= RSA_EXPONENT_MAX &&
    exponent % 2n === 1n &&
    !isRocaModulus(numberOf(jwk, "n"));
  return usable ? key : null;
}

function toKeyObject(jwk: JsonMap): KeyObject | null {
  try {
    return createPublicKey({ key: publicMembers(jwk), format: "jwk" });
  } catch {
    return null;
  }
}

function publicMembers(jwk: JsonMap): Record<string, string> {
  const kty = textOf(jwk, "kty");
  switch (kty) {
    case "RSA":
      return { kty, n: numberOf(jwk, "n"), e: numberOf(jwk, "e") };
    case "EC":
      return { kty, crv: textOf(jwk, "crv"), x: numberOf(jwk, "x"), y: numberOf(jwk, "y") };
    default:
      return { kty, crv: textOf(jwk, "crv"), x: numberOf(jwk, "x") };
  }
}

/** Of the largest modulus, and a byte for its sign. What is longer takes seconds to read. */
const NUMBER_CHARACTERS_MAX = Math.ceil(((RSA_BITS_MAX / 8 + 1) * 4) / 3);

/** The platform passes over what is not base64url, so that one number would have many spellings. */
function numberOf(jwk: JsonMap, name: string): string {
  const text = textOf(jwk, name);
  return text.length <= NUMBER_CHARACTERS_MAX && /^[A-Za-z0-9_-]+$/.test(text) ? text : "";
}

function textOf(jwk: JsonMap, name: string): string {
  const value = member(jwk, name);
  return typeof value === "string" ? value : "";
}
