import { createPublicKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import ssh2 from "ssh2";
import {
  describeSettings,
  ownSecret,
  parseStrict,
  plainObject,
  serverHost,
  serverPort,
  toJsonSchema,
} from "@mayfly/backend-kit";
import type { JsonObject, JsonSchema } from "@mayfly/spec";
import { authorityKeySettings } from "./authority-key-settings.ts";

/** Plain keys: no certificate, and none of DSA or of a hardware token. */
const KEY_TYPES: ReadonlySet<string> = new Set([
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
]);

/** A key of OpenSSH's, public or private; null if it is none. */
export function keyOf(text: string): ssh2.ParsedKey | null {
  try {
    const parsed = ssh2.utils.parseKey(text);
    return parsed instanceof Error ? null : parsed;
  } catch {
    // Of a number without a byte the parser says so by an assertion of its own.
    return null;
  }
}

/** A public key as a line of a file has it; null if it is none, or of no type that is known. */
export function publicKeyOf(text: string): ssh2.ParsedKey | null {
  const parsed = keyOf(text);
  return parsed === null || parsed.isPrivateKey() || !KEY_TYPES.has(parsed.type) ? null : parsed;
}

/** The same, as OpenSSL understands it; null where it does not: a point off its curve, say. */
export function keyObjectOf(parsed: ssh2.ParsedKey): KeyObject | null {
  try {
    return createPublicKey(parsed.getPublicPEM());
  } catch {
    return null;
  }
}

const isPrivate = (text: string): boolean => keyOf(text)?.isPrivateKey() === true;
const isHostKey = (text: string): boolean => {
  const parsed = publicKeyOf(text);
  return parsed !== null && keyObjectOf(parsed) !== null;
};

const host = z.strictObject({
  host: serverHost().describe("Where sshd listens."),
  port: serverPort().default(22),
  host_key: z
    .string()
    .max(2_048)
    .refine(isHostKey, { message: "expected a public key of OpenSSH" })
    .describe("Its own public key, as in /etc/ssh/ssh_host_ed25519_key.pub; no other is trusted."),
});

const schema = z.strictObject({
  hosts: z
    .array(host)
    .min(1)
    .max(64)
    .describe(
      "Every host that trusts the authority: an end counts once each of them refuses the " +
        "certificate, and has cut its sessions.",
    ),
  user: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}$/, "expected the name of a user")
    .default("mayfly")
    .describe("Whom the broker logs in as to tell a host what is revoked."),
  private_key: ownSecret()
    .max(8_192)
    .refine(isPrivate, { message: "expected a private key of OpenSSH, without a passphrase" })
    .describe("The broker's own key for that, which a host allows the one command."),
  authority_key: authorityKeySettings.describe(
    "Where the authority's key is: with Mayfly, in a file, or in AWS KMS.",
  ),
  also_trusted: z
    .array(z.string().max(2_048).refine(isHostKey, { message: "expected a public key of OpenSSH" }))
    .max(8)
    .default([])
    .describe(
      "Further lines of ca.pub: the next key before it signs, and the last one until what it " +
        "signed has died, where you rotate it yourself.",
    ),
  leeway_seconds: z
    .int()
    .min(0)
    .max(300)
    .default(60)
    .describe(
      "How far hosts' clocks may be off: certificates count so long before they were made, and may " +
        "be accepted so long after their expiry.",
    ),
});
export type HostSettings = z.infer<typeof schema>;
export type SshHost = HostSettings["hosts"][number];

export const HOST_SCHEMA: JsonSchema = toJsonSchema(schema);

export const hostSettings = (input: unknown): HostSettings => parseStrict(schema, input, "config");
export const parseConfig = (input: unknown): JsonObject => plainObject(hostSettings(input));
export function describeConfig(config: JsonObject): JsonObject {
  const { private_key: _, ...shown } = describeSettings(HOST_SCHEMA, parseConfig(config));
  return shown;
}

const shownKey = z.looseObject({ authority_key: z.looseObject({ source: z.string() }) });
/** Of a configuration as it is shown; one that says nothing has Mayfly's own. */
export function hasKeysElsewhere(described: JsonObject): boolean {
  const shown = shownKey.safeParse(described);
  return shown.success && shown.data.authority_key.source !== "mayfly";
}
