import { runMigrations } from "bullmq";
import { Client, DatabaseError } from "pg";
import { BrokerError, type Secret } from "@mayfly/spec";
import { checkSchemaName } from "./queue-config.ts";
import { withoutAttachments } from "./without-attachments.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 60_000;
const LOCK_TIMEOUT_MS = 30_000;
const GRANT_ATTEMPTS_MAX = 5;

/**
 * Makes or updates BullMQ's schema, in one transaction; doing it twice changes nothing. Answers the
 * schema's version. To be run by the migrator: it needs CREATE on the database, even if the schema
 * exists. Each role of `grantTo` may use the queue afterwards; see {@link queueGrants}.
 */
export async function migrateQueue(options: {
  readonly connection: Secret;
  readonly schema: string;
  readonly grantTo?: readonly string[];
}): Promise<number> {
  checkSchemaName(options.schema);
  const client = new Client({
    connectionString: options.connection.expose("upstream"),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    application_name: "mayfly-migrate-queue",
  });
  // A connection that breaks while idle emits; the query that follows rejects, and that is enough.
  client.on("error", () => undefined);
  try {
    await client.connect();
    const version = await runMigrations(client, options.schema);
    for (const role of options.grantTo ?? []) {
      await grant(client, queueGrants(role, options.schema));
    }
    return version;
  } catch (error) {
    throw new BrokerError(
      "ledger_unavailable",
      `queue: the schema "${options.schema}" could not be migrated; the migrator needs CREATE on ` +
        "the database, and PostgreSQL must be reachable",
      { cause: withoutAttachments(error) },
    );
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * "tuple concurrently updated" (XX000) has no class of its own: another migrator grants the
 * same.
 */
async function grant(client: Client, statements: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query(statements);
      return;
    } catch (error) {
      const raced = error instanceof DatabaseError && error.code === "XX000";
      if (!raced || attempt === GRANT_ATTEMPTS_MAX) throw error;
    }
  }
}

/**
 * The SQL that lets a role use the queue and change nothing of its shape. No CREATE on the schema:
 * BullMQ wants that only for jobs without an id of ours, and there are none. To be repeated after
 * each migration, which may add tables.
 */
export function queueGrants(role: string, schema: string): string {
  checkSchemaName(schema);
  const [to, within] = [quoted(role), quoted(schema)];
  return [
    `GRANT USAGE ON SCHEMA ${within} TO ${to};`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${within} TO ${to};`,
    `REVOKE INSERT, UPDATE, DELETE ON ${within}.migration FROM ${to};`,
    `GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ${within} TO ${to};`,
    `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${within} TO ${to};`,
  ].join("\n");
}

function quoted(name: string): string {
  if (name === "" || name.includes("\0") || Buffer.byteLength(name) > 63) {
    throw new BrokerError("config_invalid", "queue: a PostgreSQL name has 1 to 63 bytes");
  }
  return `"${name.replaceAll('"', '""')}"`;
}
