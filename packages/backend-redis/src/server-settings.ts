import { z } from "zod";
import {
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

const place = z.strictObject({ host: serverHost(), port: serverPort().default(6379) });
/** Where a server listens. */
export type Place = z.infer<typeof place>;

const schema = z.strictObject({
  nodes: z
    .array(place)
    .min(1)
    .max(64)
    .describe(
      "The servers. With topology nodes: each one that a lease may reach, replicas included. With " +
        "topology cluster: some by which the others are found. Leases are told the first.",
    ),
  topology: z
    .enum(["nodes", "cluster"])
    .default("nodes")
    .describe(
      "nodes: the servers are those that are listed, a primary and its replicas. cluster: a Redis " +
        "Cluster, whose members are asked for before each use.",
    ),
  username: z
    .string()
    .regex(/^[!-~]{1,256}$/, "expected a user name without spaces")
    .describe("The broker's own user; it manages users, and so is an administrator."),
  password: ownSecret(),
  tls: tlsMode(),
  ca: certificates().optional().describe("Certificates to trust instead of the system's, PEM."),
  call_seconds_max: z
    .int()
    .min(1)
    .max(10)
    .default(5)
    .describe("Bound of one exchange with one server, connecting included."),
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

/** A server as messages name it. */
export const placeName = ({ host: name, port: at }: Place): string =>
  name.includes(":") ? `[${name}]:${at}` : `${name}:${at}`;
