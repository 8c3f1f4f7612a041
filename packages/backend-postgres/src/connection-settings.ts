import { z } from "zod";
import { previousPassword, serverAccess, serverHost, serverPort } from "@mayfly/backend-kit";

const NUL = /\0/;
/** A role's or database's name: whatever PostgreSQL takes, since it is always quoted. */
export const pgName = (): z.ZodString =>
  z
    .string()
    .min(1)
    .refine((name) => Buffer.byteLength(name) <= 63 && !NUL.test(name), {
      message: "expected a PostgreSQL name: 1 to 63 bytes, no NUL",
    });

const port = serverPort().default(5432);

export const connectionSettings = z.strictObject({
  host: serverHost().describe("Where the primary listens; connect directly, not through a pooler."),
  port,
  database: pgName().describe(
    "The database that leases are for, and that agents are told; its objects are checked at " +
      "registration.",
  ),
  username: pgName().describe("The broker's own role; needs no superuser."),
  ...serverAccess(),
  previous_password: previousPassword(),
  standbys: z
    .array(z.strictObject({ host: serverHost(), port }))
    .max(16)
    .default([])
    .describe(
      "Read replicas that leases can reach: sessions are cut there too, and the probe looks there, " +
        "so list them all.",
    ),
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
    .describe(
      "Who gets the data that a lease owns, where its role names nobody. Default: username.",
    ),
  on_owned_objects: z
    .enum(["reassign", "drop"])
    .default("reassign")
    .describe(
      "reassign gives the data that a lease came to own to the owner, and drops the code that it " +
        "made; drop destroys both.",
    ),
  mint_slots: z
    .int()
    .min(1)
    .max(4)
    .optional()
    .describe(
      "Batches of mints under way at once, each on a connection of its own. Default: 4 where " +
        "scram_iterations is 1000 or more, which the server works off on one core per batch, else 1.",
    ),
  work_slots: z.int().min(1).max(32).default(4).describe("Connections for ending and looking."),
  call_seconds_max: z
    .int()
    .min(1)
    .max(15)
    .default(10)
    .describe("Bound of one statement; waiting for a lock gets half of it."),
});
export type ConnectionSettings = z.infer<typeof connectionSettings>;

/** From there on it is the server's hashing that a mint costs, and not its transaction. */
const COSTLY_ITERATIONS = 1_000;

export const mintSlotsOf = ({ mint_slots, scram_iterations }: ConnectionSettings): number =>
  mint_slots ?? (scram_iterations >= COSTLY_ITERATIONS ? 4 : 1);

/** An endpoint as messages name it. */
export const endpointOf = (at: { readonly host: string; readonly port: number }): string =>
  `${at.host}:${at.port}`;
