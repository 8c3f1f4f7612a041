import { X509Certificate } from "node:crypto";
import { z } from "zod";
import type { JsonObject, JsonSchema } from "@mayfly/spec";
import { parseStrict } from "./parse-strict.ts";
import { plainObject } from "./plain-json.ts";

const NUL = /\0/;
/** A role's or database's name: whatever PostgreSQL takes, since it is always quoted. */
export const pgName = (): z.ZodString =>
  z
    .string()
    .min(1)
    .refine((name) => Buffer.byteLength(name) <= 63 && !NUL.test(name), {
      message: "expected a PostgreSQL name: 1 to 63 bytes, no NUL",
    });

const host = z.string().regex(/^[A-Za-z0-9._:%-]{1,253}$/, "expected a host name or an IP address");
const port = z.int().min(1).max(65_535);

const pem = z.string().max(65_536).refine(isCertificate, {
  message: "expected one or more certificates in PEM form",
});
function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject.length >= 0;
  } catch {
    return false;
  }
}

const schema = z.strictObject({
  host: host.describe("Where the primary listens; connect directly, not through a pooler."),
  port: port.default(5432),
  database: pgName().describe("The database that leases are for, and that agents are told."),
  username: pgName().describe("The broker's own role; needs no superuser."),
  password: z
    .string()
    .min(1)
    .max(1_024)
    .refine((text) => !NUL.test(text))
    .meta({ writeOnly: true }),
  tls: z
    .enum(["verify-full", "unsafe_require_unverified", "unsafe_disable"])
    .default("verify-full")
    .describe(
      "verify-full checks certificate and host name. unsafe_require_unverified encrypts but " +
        "trusts anybody who answers. unsafe_disable sends everything in the clear.",
    ),
  ca: pem.optional().describe("Certificates to trust instead of the system's, PEM."),
  standbys: z
    .array(z.strictObject({ host, port: port.default(5432) }))
    .max(16)
    .default([])
    .describe("Read replicas: sessions are cut there too, and the probe looks there."),
  scram_iterations: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(4096)
    .describe(
      "Rounds of the SCRAM verifier. Passwords are random 256-bit values, so rounds protect " +
        "nothing; 1 is many times cheaper, but some drivers refuse less than 4096 (RFC 7677).",
    ),
  reassign_to: pgName()
    .optional()
    .describe("Who gets what a lease owns, where its role names nobody. Default: username."),
  on_owned_objects: z
    .enum(["reassign", "drop"])
    .default("reassign")
    .describe("drop destroys what a lease came to own instead of giving it to the owner."),
  mint_slots: z
    .int()
    .min(1)
    .max(4)
    .optional()
    .describe(
      "Batches of mints under way at once, each on a connection of its own. Default: 4 where " +
        "scram_iterations is 1000 or more, which the server works off on one core per batch, else 1.",
    ),
  work_slots: z.int().min(1).max(32).default(4).describe("Connections that end and look."),
  call_seconds_max: z.int().min(1).max(15).default(10).describe("Bound of one call to the server."),
});
export type ConnectionSettings = z.infer<typeof schema>;

/** From there on it is the server's hashing that a mint costs, and not its transaction. */
const COSTLY_ITERATIONS = 1_000;

export const mintSlotsOf = ({ mint_slots, scram_iterations }: ConnectionSettings): number =>
  mint_slots ?? (scram_iterations >= COSTLY_ITERATIONS ? 4 : 1);

export const CONNECTION_SCHEMA: JsonSchema = toJsonSchema(schema);

export function toJsonSchema(type: z.ZodType): JsonSchema {
  return plainObject(z.toJSONSchema(type, { io: "input" }));
}

export const parseConnectionSettings = (input: unknown): ConnectionSettings =>
  parseStrict(schema, input, "config");

/** The password is hidden; whether there is a CA says enough of it. */
export function describeConnection(config: JsonObject): JsonObject {
  const { password: _, ca, ...shown } = parseConnectionSettings(config);
  return plainObject({
    ...shown,
    password: "[secret]",
    ca: ca === undefined ? undefined : "[certificates]",
  });
}

/** An endpoint as messages name it. */
export const endpointOf = (at: { readonly host: string; readonly port: number }): string =>
  `${at.host}:${at.port}`;
