import { BrokerError } from "@mayfly/spec";
import { faultKind, faultOf } from "./faults.ts";
import type { Migration } from "./migration-files.ts";
import type { Sql } from "./sql.ts";

/**
 * Whoever comes behind a migration that waits for a lock waits as well, brokers too: no longer than
 * this, and then they go first.
 */
const LOCK_WAIT = "2s";
const ATTEMPTS_MAX = 15;
/** By the server, between two attempts: what waited behind the first one passes. */
const PAUSE_SECONDS = 1;

/**
 * One migration in a transaction of its own, whose version row goes in first, so that of two
 * migrators one waits and finds it done. One that meets a lock that is held for long, or a
 * deadlock, is undone and applied anew, at most 15 times; then it fails with `busy`, which names
 * it. False: it was there already.
 */
export async function applyMigration(
  sql: Sql,
  migration: Migration,
  attemptsMax = ATTEMPTS_MAX,
): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    let hasTurn = false;
    try {
      return await sql.begin(async (tx) => {
        const [inserted] = await tx`
          INSERT INTO mayfly.schema_versions (version, name, checksum, breaking)
          VALUES (${migration.version}, ${migration.name}, ${migration.checksum},
            ${migration.breaking})
          ON CONFLICT DO NOTHING RETURNING version`;
        if (inserted === undefined) return false;
        hasTurn = true;
        await tx`SELECT set_config('lock_timeout', ${LOCK_WAIT}, true)`;
        await tx.unsafe(migration.statements);
        return true;
      });
    } catch (error) {
      if (!hasTurn || !isContended(error)) throw error;
      if (attempt === attemptsMax) throw notApplied(migration, error);
      await sql`SELECT pg_sleep(${PAUSE_SECONDS})`;
    }
  }
}

const notApplied = ({ name }: Migration, cause: unknown): BrokerError =>
  new BrokerError(
    "busy",
    `Migration ${name} was not applied, and nothing of it is left: sessions that hold what it ` +
      "needs did not let go. Look for long transactions in pg_stat_activity, and run it again.",
    { where: "ledger schema", retryAfterSeconds: 1, cause },
  );

function isContended(error: unknown): boolean {
  const fault = faultOf(error);
  if (fault === null) return false;
  const kind = faultKind(fault);
  return kind === "conflict" || kind === "locked";
}
