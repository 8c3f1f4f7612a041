import { createHmac, randomBytes } from "node:crypto";
import postgres from "postgres";
import { QUEUE_SCHEMA } from "@mayfly/composition";
import { systemRandom } from "@mayfly/host";
import { migrate } from "@mayfly/postgres";
import { migrateQueue } from "@mayfly/queue";
import { Secret } from "@mayfly/spec";
import type { ServerAddress } from "./server-address.ts";

export interface LedgerDatabase {
  readonly name: string;
  readonly installation: string;
  /** The superuser's URL. */
  readonly url: string;
  readonly brokerUrl: string;
  readonly workerUrl: string;
}

/**
 * Roles are the whole server's, so all installations on one server give them the same password:
 * it follows from the superuser's.
 */
export const rolePassword = (server: ServerAddress, role: string): string =>
  createHmac("sha256", new URL(server.url("postgres")).password)
    .update(role)
    .digest("base64url");

/** Makes a ledger with its queue, as an operator does, and lets broker and worker log in. */
export async function createLedgerDatabase(server: ServerAddress): Promise<LedgerDatabase> {
  const name = `ledger_${randomBytes(6).toString("hex")}`;
  await asSuperuser(server, "postgres", (sql) => sql.unsafe(`CREATE DATABASE ${name}`));
  const url = server.url(name);
  const passwords = {
    mayfly_broker: rolePassword(server, "mayfly_broker"),
    mayfly_worker: rolePassword(server, "mayfly_worker"),
  };
  const { installation } = await migrate({
    url,
    random: systemRandom,
    passwords: {
      mayfly_broker: Secret.of(passwords.mayfly_broker),
      mayfly_worker: Secret.of(passwords.mayfly_worker),
    },
  });
  await migrateQueue({
    connection: Secret.of(url),
    schema: QUEUE_SCHEMA,
    grantTo: ["mayfly_broker", "mayfly_worker"],
  });
  return {
    name,
    installation: installation.id,
    url,
    brokerUrl: server.url(name, "mayfly_broker", passwords.mayfly_broker),
    workerUrl: server.url(name, "mayfly_worker", passwords.mayfly_worker),
  };
}

export async function asSuperuser<T>(
  server: ServerAddress,
  database: string,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql = postgres(server.url(database), { max: 1, onnotice: () => undefined });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
