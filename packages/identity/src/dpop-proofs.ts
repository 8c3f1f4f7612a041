import { calculateJwkThumbprint, compactVerify } from "jose";
import { createHash, type KeyObject } from "node:crypto";
import {
  BrokerError,
  plusSeconds,
  type DpopProofs,
  type InstantMs,
  type PresentedProof,
  type ProofUses,
  type ProvenKey,
  type Sealer,
} from "@mayfly/spec";
import type { Algorithm } from "./algorithms.ts";
import { checkHeader } from "./check-header.ts";
import { createDpopNonces } from "./dpop-nonces.ts";
import { isJsonMap, member, parseCompactJwt, type JsonMap } from "./parse-compact-jwt.ts";
import { isPrivateJwk, publicKeyFor } from "./parse-jwk-set.ts";
import { Refusal } from "./refusal.ts";

export interface DpopSettings {
  /** How far the clocks of clients and brokers may differ. */
  readonly skewSeconds: number;
  /** Whether each proof must bear a nonce of ours. */
  readonly nonceRequired: boolean;
}

export interface DpopProofsOptions {
  /** Public URL of the broker: what `htu` must begin with, whatever host a request names. */
  readonly issuer: string;
  readonly uses: ProofUses;
  readonly sealer: Pick<Sealer, "tag" | "verifyTag">;
  readonly settings: DpopSettings;
}

/**
 * A stranger picks the key that we verify with, so none that is dear to verify is taken: a P-521
 * signature costs forty times an Ed25519 one, and an RSA key may have 4096 bits.
 */
export const DPOP_ALGORITHMS = [
  "ES256",
  "EdDSA",
  "Ed25519",
  "PS256",
  "RS256",
] as const satisfies readonly Algorithm[];
const RSA_BITS_MAX = 4096;

/** A proof is made for one request; this long a request may be under way. */
const AGE_SECONDS_MAX = 60;
const PROOF_CHARACTERS_MAX = 4096;
const HTU_CHARACTERS_MAX = 2048;
const JTI = /^[\x21-\x7e]{1,256}$/;
const HEADER_RULES = {
  algorithms: DPOP_ALGORITHMS,
  members: ["alg", "jwk", "kid", "typ"],
  typeAllowed: (typ: string | null): boolean => typ === "dpop+jwt",
} as const;

/** DPoP proofs, RFC 9449 section 4.3. What a refusal says helps its sender alone: it made it. */
export function createDpopProofs(options: DpopProofsOptions): DpopProofs {
  const { issuer, uses, settings } = options;
  const nonces = createDpopNonces(options.sealer);
  return {
    algorithms: DPOP_ALGORITHMS,
    nonce: (now) => (settings.nonceRequired ? nonces.at(now) : null),
    check: async (presented, now) => {
      const { algorithm, key, claims, compact } = takeApart(presented.proof);
      checkTarget(claims, presented, issuer);
      const issuedAt = checkAge(claims, settings.skewSeconds, now);
      checkToken(claims, presented);
      const jti = member(claims, "jti");
      if (typeof jti !== "string" || !JTI.test(jti)) {
        throw refused("its jti is not 1 to 256 visible ASCII characters");
      }
      if (settings.nonceRequired && !nonces.holds(member(claims, "nonce"), now)) {
        throw new BrokerError("use_dpop_nonce", "The DPoP proof needs a nonce of this broker.", {
          where: "DPoP",
        });
      }
      await verifySignature(compact, key, algorithm);
      const confirmation = await calculateJwkThumbprint(key);
      const use = {
        sha256: createHash("sha256").update(`${confirmation} ${jti}`).digest("hex"),
        // As long as any broker, whatever its clock says, would accept it.
        expiresAt: plusSeconds(issuedAt, AGE_SECONDS_MAX + 2 * settings.skewSeconds),
      };
      return provenKey(confirmation, () => uses.record(use));
    },
  };
}

interface TakenApart {
  readonly compact: string;
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
  readonly claims: JsonMap;
}

function takeApart(proof: string): TakenApart {
  if (proof.length > PROOF_CHARACTERS_MAX) {
    throw refused(`it is longer than ${PROOF_CHARACTERS_MAX} characters`);
  }
  try {
    const { compact, header, claims } = parseCompactJwt(proof);
    const { algorithm } = checkHeader(header, HEADER_RULES);
    return { compact, algorithm, key: readKey(member(header, "jwk"), algorithm), claims };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw refused(error.message.replace(/^the (?:token's )?/, "the "));
  }
}

function readKey(jwk: unknown, algorithm: Algorithm): KeyObject {
  if (!isJsonMap(jwk)) throw new Refusal("header", "the header has no jwk");
  if (isPrivateJwk(jwk)) throw new Refusal("header", "the header's jwk shows a private key");
  const key = publicKeyFor(jwk, algorithm);
  const bits = key?.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key === null || bits > RSA_BITS_MAX) {
    throw new Refusal("header", "the header's jwk is no public key of its alg that is accepted");
  }
  return key;
}

/** The public URL is what the configuration says: what a request names as its host is nobody's. */
function checkTarget(claims: JsonMap, { method, path }: PresentedProof, issuer: string): void {
  if (member(claims, "htm") !== method) throw refused("its htm is not the request's method");
  const htu = member(claims, "htu");
  const url =
    typeof htu === "string" && htu.length <= HTU_CHARACTERS_MAX && URL.canParse(htu)
      ? new URL(htu)
      : null;
  const expected = new URL(`${issuer}${path}`);
  // Compared without query and fragment; the parser has made one of all spellings but escapes.
  const isSame =
    url !== null &&
    url.username === "" &&
    url.password === "" &&
    url.protocol === expected.protocol &&
    url.host === expected.host &&
    unescaped(url.pathname) === unescaped(expected.pathname);
  if (!isSame) throw refused("its htu is not the request's URL below the broker's public one");
}

/** RFC 3986 sections 6.2.2.1 and 6.2.2.2: an escape of what needs none is that character. */
const unescaped = (path: string): string =>
  path.replaceAll(/%[0-9a-f]{2}/gi, (escape) => {
    const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase();
  });

function checkAge(claims: JsonMap, skewSeconds: number, now: InstantMs): InstantMs {
  const iat = member(claims, "iat");
  if (typeof iat !== "number" || !Number.isFinite(iat)) throw refused("it has no iat");
  const ageSeconds = now / 1000 - iat;
  if (ageSeconds > AGE_SECONDS_MAX + skewSeconds) throw refused("its iat is too long ago");
  if (ageSeconds < -skewSeconds) throw refused("its iat is in the future");
  checkSpan(claims, skewSeconds, now);
  return plusSeconds(now, -ageSeconds);
}

/** RFC 7519 sections 4.1.4 and 4.1.5: a proof needs neither, and whoever sets one means it. */
function checkSpan(claims: JsonMap, skewSeconds: number, now: InstantMs): void {
  const [exp = Number.POSITIVE_INFINITY, nbf = 0] = [member(claims, "exp"), member(claims, "nbf")];
  if (typeof exp !== "number" || typeof nbf !== "number") {
    throw refused("its exp or nbf is not a time");
  }
  if (now / 1000 >= exp + skewSeconds) throw refused("its exp has passed");
  if (now / 1000 < nbf - skewSeconds) throw refused("its nbf is still to come");
}

function checkToken(claims: JsonMap, { token }: PresentedProof): void {
  if (token === null) return;
  const hash = createHash("sha256").update(token.expose("crypto")).digest("base64url");
  if (member(claims, "ath") !== hash) throw refused("its ath is not the hash of the token");
}

async function verifySignature(compact: string, key: KeyObject, alg: Algorithm): Promise<void> {
  try {
    await compactVerify(compact, key, { algorithms: [alg] });
  } catch {
    throw refused("its signature does not verify with its jwk");
  }
}

function provenKey(confirmation: string, record: () => Promise<boolean>): ProvenKey {
  let recorded: Promise<boolean> | null = null;
  return {
    confirmation,
    spend: async () => {
      recorded ??= record();
      if (!(await recorded)) throw refused("it was used before");
    },
  };
}

const refused = (why: string): BrokerError =>
  new BrokerError("invalid_dpop_proof", `The DPoP proof is refused: ${why}.`, { where: "DPoP" });
