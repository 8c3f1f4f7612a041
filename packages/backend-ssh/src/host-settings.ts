import { z } from "zod";
import ssh2 from "ssh2";
import {
  ownSecret,
  parseStrict,
  plainObject,
  serverHost,
  serverPort,
  toJsonSchema,
} from "@mayfly/backend-kit";
import type { JsonObject, JsonSchema } from "@mayfly/spec";

const publicKeyOf = (text: string) => {
  const parsed = ssh2.utils.parseKey(text);
  return parsed instanceof Error || parsed.isPrivateKey() ? null : parsed;
};
export { publicKeyOf };

const isPrivate = (text: string): boolean => {
  const parsed = ssh2.utils.parseKey(text);
  return !(parsed instanceof Error) && parsed.isPrivateKey();
};

const host = z.strictObject({
  host: serverHost().describe("Where sshd listens."),
  port: serverPort().default(22),
  host_key: z
    .string()
    .max(2_048)
    .refine((text) => publicKeyOf(text) !== null, { message: "expected a public key of OpenSSH" })
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
  const { private_key: _, ...shown } = hostSettings(config);
  return plainObject(shown);
}
