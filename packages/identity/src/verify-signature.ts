import type { CallContext } from "@mayfly/spec";
import type { CheckedHeader } from "./check-header.ts";
import type { KeySource } from "./key-source.ts";
import type { KeySet, VerificationKey } from "./parse-jwk-set.ts";
import type { CompactJws, CompactJwt, JsonMap } from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";
import { verifyJws } from "./verify-jws.ts";

/**
 * What a token without `kid` may be tried with: OpenID Connect Core section 10.1 requires a `kid`
 * where there are several keys (`sole`); JWT-SVID section 2.2 makes it optional (`any`).
 */
export type KidlessRule = "sole" | "any";

const KIDLESS_TRIES_MAX = 16;

/** Verifies with the issuer's keys; the claims were read out of the very text that is verified. */
export async function verifySignature(
  jwt: CompactJwt,
  ...by: SignatureRules
): Promise<{ readonly claims: JsonMap; readonly keys: KeySet }> {
  return { claims: jwt.claims, keys: await verifyingKeys(jwt, ...by) };
}

type SignatureRules = [
  header: CheckedHeader,
  source: KeySource,
  kidless: KidlessRule,
  context: CallContext,
];

/** The state of the issuer's keys by one of which the text is signed, whatever its payload is. */
export async function verifyingKeys(
  jws: CompactJws,
  header: CheckedHeader,
  source: KeySource,
  kidless: KidlessRule,
  context: CallContext,
): Promise<KeySet> {
  const before = source.held();
  const keys = await source.current(context);
  if (await tryKeys(jws, header, keys, kidless)) return keys;
  // Keys that were fetched for this very token are not fetched again for it.
  const newer = keys === before ? await source.lookAgain(keys, context) : null;
  if (newer === null || !(await tryKeys(jws, header, newer, kidless))) {
    throw new Refusal("unknown_key", "no key of the issuer fits the token");
  }
  return newer;
}

/** False where newer keys might help; a known key that does not verify is a refusal. */
async function tryKeys(
  jws: CompactJws,
  header: CheckedHeader,
  { keys }: KeySet,
  kidless: KidlessRule,
): Promise<boolean> {
  const { algorithm, kid } = header;
  if (kid !== null) {
    const named = keys.filter((key) => key.kid === kid);
    if (named.length === 0) return false;
    const fitting = named.filter((key) => key.algorithms.includes(algorithm));
    if (fitting.length === 0) throw new Refusal("algorithm", "the key does not serve the alg");
    if (await verifiesByAny(jws, header, fitting)) return true;
    throw new Refusal("signature", "the signature does not verify");
  }
  const fitting = keys.filter((key) => key.algorithms.includes(algorithm));
  if (kidless === "sole" && fitting.length > 1) {
    throw new Refusal("unknown_key", "the token names no key and the issuer has several");
  }
  return verifiesByAny(jws, header, fitting.slice(0, KIDLESS_TRIES_MAX));
}

async function verifiesByAny(
  jws: CompactJws,
  { algorithm }: CheckedHeader,
  keys: readonly VerificationKey[],
): Promise<boolean> {
  for (const { key } of keys) {
    try {
      if (await verifyJws(jws.compact, key, algorithm)) return true;
    } catch (error) {
      throw new Refusal("signature", "the signature cannot be verified", { cause: error });
    }
  }
  return false;
}
