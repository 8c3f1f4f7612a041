import { z } from "zod";
import { previousPassword, serverAccess, serverHost, serverPort } from "@mayfly/backend-kit";

/** What needs no escaping, whichever way it is quoted; MySQL itself allows more. */
const PLAIN_NAME = /^[A-Za-z0-9_.$-]{1,64}$/;
export const plainName = (): z.ZodString =>
  z.string().regex(PLAIN_NAME, "expected a name: 1 to 64 letters, digits, _ . $ -");

const port = serverPort().default(3306);

export const connectionSettings = z.strictObject({
  host: serverHost().describe("Where the primary listens."),
  port,
  database: plainName().describe("The database that agents are told."),
  username: z.string().min(1).max(80).describe("The broker's own account."),
  ...serverAccess(),
  previous_password: previousPassword(),
  account_host: z
    .string()
    .regex(/^[A-Za-z0-9._:%/-]{1,255}$/, "expected the host part of an account")
    // As the server keeps it: what is compared with its tables has to be the same.
    .toLowerCase()
    .default("%")
    .describe("From where leases may log in: the host part of their accounts."),
  marks_schema: plainName()
    .default("mayfly")
    .describe("The database that holds our table `leases`, which says which accounts are ours."),
  replicas: z
    .array(z.strictObject({ host: serverHost(), port }))
    .max(16)
    .default([])
    .describe("Read replicas: sessions are cut there too, and the probe looks there."),
  mint_slots: z.int().min(1).max(32).default(4).describe("Connections that mint."),
  work_slots: z.int().min(1).max(32).default(4).describe("Connections that end and look."),
  call_seconds_max: z.int().min(1).max(15).default(10).describe("Bound of one statement."),
});
export type ConnectionSettings = z.infer<typeof connectionSettings>;
