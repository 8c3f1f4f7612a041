import type { AuthorityKey, LeaseId } from "@mayfly/spec";
import type { SshGrant } from "./role-settings.ts";
import { authorityBlob, signatureBlob } from "./ssh-signature.ts";
import { wireString, wireUint32, wireUint64 } from "./ssh-wire.ts";

export interface UserCertificate {
  readonly leaseId: LeaseId;
  /** The lease's name, by which lists revoke it. */
  readonly keyId: string;
  readonly grant: SshGrant;
  /** As `ssh-ed25519` and so on write it (RFC 4253 section 6.6). */
  readonly publicKey: { readonly type: string; readonly blob: Uint8Array };
  /** Seconds since the epoch; from the second one on it is refused. */
  readonly from: number;
  /** 32 random bytes. */
  readonly nonce: Uint8Array;
  readonly until: number;
}

const SUFFIX = "-cert-v01@openssh.com";
const USER = 1;

/**
 * A line for a file: OpenSSH's PROTOCOL.certkeys. Options and extensions are in the order of their
 * names, as sshd demands; whatever is not named is not allowed.
 */
export async function userCertificate(
  authority: AuthorityKey,
  { leaseId, keyId, grant, publicKey, nonce, from, until }: UserCertificate,
): Promise<string> {
  const type = `${publicKey.type}${SUFFIX}`;
  const critical = [
    ...(grant.force_command === null ? [] : [option("force-command", grant.force_command)]),
    ...(grant.source_addresses.length === 0
      ? []
      : [option("source-address", grant.source_addresses.join(","))]),
  ];
  const extensions = grant.extensions.map((name) =>
    Buffer.concat([wireString(name), wireString("")]),
  );
  const signed = Buffer.concat([
    wireString(type),
    wireString(nonce),
    withoutType(publicKey.blob),
    wireUint64(serialOf(leaseId)),
    wireUint32(USER),
    wireString(keyId),
    wireString(Buffer.concat(grant.principals.map(wireString))),
    wireUint64(BigInt(from)),
    wireUint64(BigInt(until)),
    wireString(Buffer.concat(critical)),
    wireString(Buffer.concat(extensions)),
    wireString(""),
    wireString(authorityBlob(authority)),
  ]);
  const bytes = Buffer.concat([signed, wireString(await signatureBlob(authority, signed))]);
  return `${type} ${bytes.toString("base64")} ${keyId}`;
}

const option = (name: string, value: string): Buffer =>
  Buffer.concat([wireString(name), wireString(wireString(value))]);

/** For people who read logs: lists go by the key id, which is the whole of the lease's. */
export const serialOf = (leaseId: LeaseId): bigint => BigInt(`0x${leaseId.slice(-16)}`);

const withoutType = (blob: Uint8Array): Uint8Array =>
  blob.subarray(4 + Buffer.from(blob).readUInt32BE(0));
