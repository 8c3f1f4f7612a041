import type { AuthorityKey } from "@mayfly/spec";
import { wireMpint, wireString } from "./ssh-wire.ts";

const ED25519 = "ssh-ed25519";
const P256 = "ecdsa-sha2-nistp256";
const RSA = "ssh-rsa";

/** How OpenSSH names the type of a key. */
const TYPES = { EdDSA: ED25519, ES256: P256, RS256: RSA } as const;

const member = ({ publicJwk }: AuthorityKey, name: string): Buffer => {
  const value = publicJwk[name];
  if (typeof value === "string") return Buffer.from(value, "base64url");
  throw new Error(`the authority's key has no "${name}"`);
};

/**
 * The public half of an authority's key: RFC 8709 section 4 (Ed25519), RFC 5656 section 3.1
 * (P-256), RFC 4253 section 6.6 (RSA).
 */
export function authorityBlob(key: AuthorityKey): Buffer {
  const type = wireString(TYPES[key.algorithm]);
  switch (key.algorithm) {
    case "EdDSA":
      return Buffer.concat([type, wireString(member(key, "x"))]);
    case "ES256": {
      const point = Buffer.concat([Buffer.from([4]), member(key, "x"), member(key, "y")]);
      return Buffer.concat([type, wireString("nistp256"), wireString(point)]);
    }
    case "RS256":
      return Buffer.concat([type, wireMpint(member(key, "e")), wireMpint(member(key, "n"))]);
  }
}

export const authorityLine = (key: AuthorityKey, comment: string): string =>
  `${TYPES[key.algorithm]} ${authorityBlob(key).toString("base64")} ${comment}`;

/** A signature as certificates have it: RFC 8709 section 6, RFC 5656 section 3.1.2, RFC 8332. */
export async function signatureBlob(key: AuthorityKey, bytes: Uint8Array): Promise<Buffer> {
  const signature = await key.sign(bytes);
  switch (key.algorithm) {
    case "EdDSA":
      return Buffer.concat([wireString(ED25519), wireString(signature)]);
    case "ES256": {
      const [r, s] = integersOf(Buffer.from(signature));
      return Buffer.concat([
        wireString(P256),
        wireString(Buffer.concat([wireMpint(r), wireMpint(s)])),
      ]);
    }
    case "RS256":
      return Buffer.concat([wireString("rsa-sha2-256"), wireString(signature)]);
  }
}

/**
 * Of an ECDSA-Sig-Value (RFC 3279 section 2.2.3) of P-256, whose lengths are below 128: a SEQUENCE
 * of two INTEGERs and nothing else.
 */
function integersOf(der: Buffer): readonly [Buffer, Buffer] {
  const r = integerAt(der, 2);
  const s = integerAt(der, 4 + (r?.length ?? 0));
  const isWhole = r !== null && s !== null && der[0] === 0x30 && der[1] === der.length - 2;
  if (isWhole && 6 + r.length + s.length === der.length) return [r, s];
  throw new Error("the signature is no ECDSA-Sig-Value");
}

function integerAt(der: Buffer, at: number): Buffer | null {
  const length = der[at + 1] ?? 0;
  const value = der.subarray(at + 2, at + 2 + length);
  return der[at] === 2 && length > 0 && value.length === length ? value : null;
}
