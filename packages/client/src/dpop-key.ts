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

/** One request to an API that an access token is for. */
export interface ApiProof {
  readonly method: string;
  readonly url: URL;
  readonly token: Secret;
  /** What the API asked for with `use_dpop_nonce` (RFC 9449 section 9), or null. */
  readonly nonce: string | null;
  readonly aheadMs: number;
}

/** Proves that this client, and nobody who copied its tokens, sends a request (RFC 9449). */
export interface DpopKey {
  /** Of a request to the broker. */
  proof(request: ProvenRequest): Promise<string>;
  /** Of a request to an API, with an access token that is bound to this key (section 7). */
  apiProof(request: ApiProof): Promise<string>;
}

/** The broker's metadata must name it. */
export const DPOP_ALGORITHM = "ES256";
const JTI_BYTES = 16;

interface Proven extends Omit<ProvenRequest, "path"> {
  /** Without query and fragment (section 4.2). */
  readonly htu: string;
}

/**
 * A key of one task, in this process's memory alone: it is written nowhere, and its private half
 * cannot be taken out. `htu` is below the issuer, under whatever name the broker is reached.
 */
export async function createDpopKey(issuer: string, around: Surroundings): Promise<DpopKey> {
  const key = await around.makeKey();
  const header = encoded({ typ: "dpop+jwt", alg: DPOP_ALGORITHM, jwk: key.publicJwk });
  const prove = async ({ method, htu, token, nonce, aheadMs }: Proven): Promise<string> => {
    const claims = {
      jti: base64url(around.randomBytes(JTI_BYTES)),
      htm: method,
      htu,
      iat: Math.floor((around.clock.now() + aheadMs) / 1_000),
      ...(token === undefined ? {} : { ath: await hashOf(token, around) }),
      ...(nonce === null ? {} : { nonce }),
    };
    return signed(`${header}.${encoded(claims)}`, key);
  };
  return {
    proof: ({ path, ...request }) => {
      const [where = path] = path.split("?", 1);
      return prove({ ...request, htu: `${issuer}${where}` });
    },
    apiProof: ({ url, ...request }) => prove({ ...request, htu: `${url.origin}${url.pathname}` }),
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
