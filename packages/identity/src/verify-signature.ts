import { compactVerify, errors } from "jose";
import type { CallContext } from "@mayfly/spec";
import type { CheckedHeader } from "./check-header.ts";
import type { KeySource } from "./key-source.ts";
import type { KeySet, VerificationKey } from "./parse-jwk-set.ts";
import {
  parseJsonObject,
  type CompactJws,
  type CompactJwt,
  type JsonMap,
} from "./parse-compact-jwt.ts";
import { Refusal } from "./refusal.ts";

/**
 * What a token without `kid` may be tried with: OpenID Connect Core section 10.1 requires a `kid`
 * where there are several keys (`sole`); JWT-SVID section 2.2 makes it optional (`any`).
 */
export type KidlessRule = "sole" | "any";

const KIDLESS_TRIES_MAX = 16;

/**
 * Verifies with the issuer's keys; the claims are those of the very bytes that were verified, which
 * are read again unless they are the ones that were read before.
 */
export async function verifySignature(
  jwt: CompactJwt,
  ...by: ByKeys
): Promise<{ readonly claims: JsonMap; readonly keys: KeySet }> {
  const { payload, keys } = await verifyPayload(jwt, ...by);
  const isRead = Buffer.compare(payload, jwt.payload) === 0;
  return { claims: isRead ? jwt.claims : parseJsonObject(payload, "the token's payload"), keys };
}

type ByKeys = Parameters<typeof verifyPayload> extends [CompactJws, ...infer Rest] ? Rest : never;

/** The very bytes that were verified, whatever they are. */
export async function verifyPayload(
  jws: CompactJws,
  header: CheckedHeader,
  source: KeySource,
  kidless: KidlessRule,
  context: CallContext,
): Promise<{ readonly payload: Uint8Array; readonly keys: KeySet }> {
  const before = source.held();
  const keys = await source.current(context);
  const payload = await tryKeys(jws, header, keys, kidless);
  if (payload !== null) return { payload, keys };
  // Keys that were fetched for this very token are not fetched again for it.
  const newer = keys === before ? await source.lookAgain(keys, context) : null;
  const again = newer === null ? null : await tryKeys(jws, header, newer, kidless);
  if (newer === null || again === null) {
    throw new Refusal("unknown_key", "no key of the issuer fits the token");
  }
  return { payload: again, keys: newer };
}

/** Null where newer keys might help; a known key that does not verify is a refusal. */
async function tryKeys(
  jws: CompactJws,
  header: CheckedHeader,
  { keys }: KeySet,
  kidless: KidlessRule,
): Promise<Uint8Array | null> {
  const { algorithm, kid } = header;
  if (kid !== null) {
    const named = keys.filter((key) => key.kid === kid);
    if (named.length === 0) return null;
    const fitting = named.filter((key) => key.algorithms.includes(algorithm));
    if (fitting.length === 0) throw new Refusal("algorithm", "the key does not serve the alg");
    const payload = await firstVerified(jws, header, fitting);
    if (payload === null) throw new Refusal("signature", "the signature does not verify");
    return payload;
  }
  const fitting = keys.filter((key) => key.algorithms.includes(algorithm));
  if (kidless === "sole" && fitting.length > 1) {
    throw new Refusal("unknown_key", "the token names no key and the issuer has several");
  }
  return firstVerified(jws, header, fitting.slice(0, KIDLESS_TRIES_MAX));
}

async function firstVerified(
  jws: CompactJws,
  { algorithm }: CheckedHeader,
  keys: readonly VerificationKey[],
): Promise<Uint8Array | null> {
  for (const { key } of keys) {
    try {
      const { payload } = await compactVerify(jws.compact, key, { algorithms: [algorithm] });
      return payload;
    } catch (error) {
      if (error instanceof errors.JWSSignatureVerificationFailed) continue;
      throw new Refusal("signature", "the signature cannot be verified", { cause: error });
    }
  }
  return null;
}
