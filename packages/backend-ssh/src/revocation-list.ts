import { wireString, wireUint32, wireUint64 } from "./ssh-wire.ts";

const MAGIC = "SSHKRL\n\0";
const FORMAT = 1;
const CERTIFICATES = Buffer.from([1]);
const BY_KEY_ID = Buffer.from([0x23]);

/**
 * A list of revoked certificates as sshd's RevokedKeys has it (OpenSSH's PROTOCOL.krl): by key id,
 * whichever authority signed them, since a key id names a lease of one installation.
 */
export function revocationList(
  number: number,
  madeAtSeconds: number,
  keyIds: readonly string[],
): Buffer {
  const byKeyId = Buffer.concat([
    BY_KEY_ID,
    wireString(Buffer.concat(keyIds.map((keyId) => wireString(keyId)))),
  ]);
  // No authority, and what is reserved.
  const section = Buffer.concat([wireString(""), wireString(""), byKeyId]);
  return Buffer.concat([
    Buffer.from(MAGIC, "latin1"),
    wireUint32(FORMAT),
    wireUint64(BigInt(number)),
    wireUint64(BigInt(madeAtSeconds)),
    wireUint64(0n),
    wireString(""),
    wireString("mayfly"),
    ...(keyIds.length === 0 ? [] : [CERTIFICATES, wireString(section)]),
  ]);
}

/** What a host is sent to keep and to act upon: see `host/mayfly-ssh-host`. */
export const revokeRequest = (
  authority: string,
  number: number,
  keyIds: readonly string[],
): string =>
  `${[`${requestHead("revoke", authority)} ${number} ${keyIds.length}`, ...keyIds].join("\n")}\n`;

/** How a request begins: a host keeps what each authority says apart. */
export const requestHead = (
  what: "revoke" | "look" | "looks" | "check",
  authority: string,
): string => `mayfly-ssh-2 ${what} ${authority}`;
