import {
  apiHost,
  certificates,
  ownSecret,
  parseStrict,
  plainObject,
  serverHost,
  serverPort,
  tlsMode,
  toJsonSchema,
} from "@mayfly/backend-kit";
import type { JsonObject, JsonSchema } from "@mayfly/spec";
import { z } from "zod";

const amqp = z.strictObject({
  host: serverHost().optional().describe("Default: the host of the management API."),
  port: serverPort().default(5671),
  tls: z.boolean().default(true).describe("Whether leases are told to use TLS."),
});

const schema = z.strictObject({
  host: apiHost().describe("Where the management plugin's HTTP API listens."),
  port: serverPort().default(15671),
  username: z
    .string()
    .regex(/^[^:\p{Cc}]{1,255}$/u, "expected a user name without colon")
    .describe("The broker's own user, with the tag administrator and no permission."),
  password: ownSecret(),
  tls: tlsMode(),
  ca: certificates().optional().describe("Certificates to trust instead of the system's, PEM."),
  amqp: amqp
    .default({ port: 5671, tls: true })
    .describe("Where leases log in, as they are told; the broker itself does not connect there."),
  call_seconds_max: z.int().min(1).max(10).default(5).describe("Bound of one call of the API."),
});
export type ServerSettings = z.infer<typeof schema>;

export const SERVER_SCHEMA: JsonSchema = toJsonSchema(schema);

export const parseServerSettings = (input: unknown): ServerSettings =>
  parseStrict(schema, input, "config");

/** The password is hidden; whether there is a CA says enough of it. */
export function describeServer(config: JsonObject): JsonObject {
  const { password: _, ca, ...shown } = parseServerSettings(config);
  return plainObject({
    ...shown,
    password: "[secret]",
    ca: ca === undefined ? undefined : "[certificates]",
  });
}
