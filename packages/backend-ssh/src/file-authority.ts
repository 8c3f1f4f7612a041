import { createPrivateKey, sign, type KeyObject } from "node:crypto";
import { open } from "node:fs/promises";
import { Secret } from "@mayfly/spec";
import type { AuthoritySource } from "./authority-source.ts";
import { keyOf } from "./host-settings.ts";
import { keyOfAuthority } from "./key-of-authority.ts";

/** Reads the file of a key; rejects where it cannot, or where it is too long for one. */
export type ReadKeyFile = (path: string) => Promise<Secret>;

const KEY_BYTES_MAX = 16_384;

export const readKeyFile: ReadKeyFile = async (path) => {
  const bytes = Buffer.alloc(KEY_BYTES_MAX + 1);
  await using file = await open(path, "r");
  const { bytesRead } = await file.read(bytes);
  if (bytesRead > KEY_BYTES_MAX) throw new Error("the file of the authority's key is too long");
  return Secret.of(bytes.toString("utf8", 0, bytesRead));
};

/** A private key of OpenSSH's or in PEM, without a passphrase; null if it is none. */
function privateKeyOf(text: Secret): KeyObject | null {
  const own = text.expose("crypto");
  const parsed = keyOf(own);
  try {
    return createPrivateKey(parsed?.isPrivateKey() === true ? parsed.getPrivatePEM() : own);
  } catch {
    // Of OpenSSL's texts none says more, and one may quote the file.
    return null;
  }
}

/** The file is read anew each time: who replaces it has replaced the key. */
export const fileAuthority = (path: string, readFile: ReadKeyFile): AuthoritySource => ({
  keys: async () => {
    const key = privateKeyOf(await readFile(path));
    const authority =
      key === null
        ? null
        : keyOfAuthority(key, async (algorithm, bytes) =>
            sign(algorithm === "EdDSA" ? null : "sha256", bytes, key),
          );
    if (authority !== null) return [authority];
    throw new Error(`${path} holds no private key of Ed25519, P-256 or RSA without a passphrase`);
  },
  rotate: async () => undefined,
  close: async () => undefined,
});
