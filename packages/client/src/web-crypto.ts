import type { SigningKey } from "./surroundings.ts";

const ECDSA = { name: "ECDSA", namedCurve: "P-256" } as const;

/** By the Web Crypto API, which Node, Deno and Bun have alike. */
export async function makeKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(ECDSA, false, [
    "sign",
    "verify",
  ]);
  const { kty = "", crv = "", x = "", y = "" } = await crypto.subtle.exportKey("jwk", publicKey);
  return {
    publicJwk: { kty, crv, x, y },
    sign: async (data) =>
      new Uint8Array(
        await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, data),
      ),
  };
}

export const sha256 = async (data: Uint8Array<ArrayBuffer>): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", data));
