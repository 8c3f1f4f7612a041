import type { Secret } from "./secret.ts";
import type { SigningKey, Surroundings } from "./surroundings.ts";

/** One request, as its proof names it. */
export interface ProvenRequest {
  readonly method: string;
  /** Below the broker's issuer. */
  readonly path: string;
  readonly token: Secret | undefined;
  /** The broker's last nonce, or null where it gave none. */
  readonly nonce: string | null;
  /** How far the broker's clock is ahead of this machine's. */
  readonly aheadMs: number;
}

/** Proves that this client, and nobody who copied its task token, sends a request (RFC 9449). */
export interface DpopKey {
  proof(request: ProvenRequest): Promise<string>;
}

/** The broker's metadata must name it. */
export const DPOP_ALGORITHM = "ES256";
const JTI_BYTES = 16;

/**
 * A key of one task, in this process's memory alone: it is written nowhere, and its private half
 * cannot be taken out. `htu` is below the issuer, under whatever name the broker is reached.
 */
export async function createDpopKey(issuer: string, around: Surroundings): Promise<DpopKey> {
  const key = await around.makeKey();
  const header = encoded({ typ: "dpop+jwt", alg: DPOP_ALGORITHM, jwk: key.publicJwk });
  return {
    proof: async ({ method, path, token, nonce, aheadMs }) => {
      const [where = path] = path.split("?", 1);
      const claims = {
        jti: base64url(around.randomBytes(JTI_BYTES)),
        htm: method,
        htu: `${issuer}${where}`,
        iat: Math.floor((around.clock.now() + aheadMs) / 1_000),
        ...(token === undefined ? {} : { ath: await hashOf(token, around) }),
        ...(nonce === null ? {} : { nonce }),
      };
      return signed(`${header}.${encoded(claims)}`, key);
    },
  };
}

async function signed(input: string, key: SigningKey): Promise<string> {
  return `${input}.${base64url(await key.sign(new TextEncoder().encode(input)))}`;
}

const hashOf = async (token: Secret, around: Surroundings): Promise<string> =>
  base64url(await around.sha256(new TextEncoder().encode(token.expose())));

const encoded = (value: unknown): string =>
  base64url(new TextEncoder().encode(JSON.stringify(value)));

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
