import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BrokerError } from "@mayfly/spec";
import { systemClock } from "@mayfly/host";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { applyMigration } from "./apply-migration.ts";
import type { Migration } from "./migration-files.ts";
import { connect, CONNECTION_LIMITS, type Sql } from "./sql.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const { activeLease, endTask, openTask, registerBackend, reserveLease } = ledgerFixtures;

let ledger: TestLedger;
let migrator: Sql;
beforeAll(async () => {
  ledger = await createTestLedger();
  migrator = connect(ledger.database.url, "test-migrate", 1, CONNECTION_LIMITS);
});
afterAll(async () => {
  await migrator.end({ timeout: 5 });
  await ledger.close();
});

/** Locks each table of the history in turn, as one that changes what they check. */
const changing = (version: number): Migration => ({
  version,
  name: `${version}_checks`,
  checksum: "c",
  breaking: false,
  statements: ["tasks", "decisions", "leases", "events"]
    .map(
      (table) => `ALTER TABLE mayfly.${table} DROP CONSTRAINT IF EXISTS tried,
        ADD CONSTRAINT tried CHECK (${version} > 0) NOT VALID;`,
    )
    .join("\n"),
});

const appliedVersions = async (from: number): Promise<number[]> => {
  const rows = await ledger.superuser<{ version: number }[]>`
    SELECT version FROM mayfly.schema_versions WHERE version >= ${from} ORDER BY version`;
  return rows.map(({ version }) => version);
};

describe("a migration", () => {
  test("of tables that are written to all the while is applied, and refuses no write", async () => {
    const backend = await registerBackend(ledger.ports);
    const reservation = { limits: { perTask: 10, perWorkload: 1e6, perRole: 1e6 } };
    const migrated = { yet: false };
    let written = 0;
    const write = async (): Promise<void> => {
      while (!migrated.yet) {
        const { task } = await activeLease(ledger.ports, backend, { reservation });
        await reserveLease(ledger.ports, backend, { under: task, reservation });
        await endTask(ledger.ports, task.id);
        written++;
      }
    };
    const writing = Promise.all(Array.from({ length: 6 }, write));
    try {
      for (let version = 1001; version <= 1012; version++) {
        const before = written;
        expect(await applyMigration(migrator, changing(version))).toBe(true);
        while (written === before) await systemClock.sleep(20);
      }
    } finally {
      migrated.yet = true;
    }
    await writing;
    expect(await appliedVersions(1001)).toHaveLength(12);
  });

  test("that has to wait lets those behind it pass, and is applied once it can be", async () => {
    const reader = await ledger.superuser.reserve();
    await reader`BEGIN`;
    await reader`SELECT count(*) FROM mayfly.tasks`;
    const applying = applyMigration(migrator, changing(2001));
    try {
      const waits = async (): Promise<boolean> => {
        const [found] = await ledger.superuser<{ waits: boolean }[]>`SELECT EXISTS (
          SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted) AS waits`;
        return found?.waits === true;
      };
      while (!(await waits())) await systemClock.sleep(20);
      await openTask(ledger.ports);
    } finally {
      await reader`ROLLBACK`;
      reader.release();
    }
    expect(await applying).toBe(true);
  });

  test("that never gets a lock says so, leaves nothing, and is applied the next time", async () => {
    const reader = await ledger.superuser.reserve();
    await reader`BEGIN`;
    await reader`SELECT count(*) FROM mayfly.events`;
    const refused: unknown = await applyMigration(migrator, changing(3001), 2).catch(
      (error: unknown) => error,
    );
    expect(BrokerError.is(refused) && refused.code).toBe("busy");
    expect(String(refused)).toContain("3001_checks");
    expect(await appliedVersions(3001)).toEqual([]);
    await reader`ROLLBACK`;
    reader.release();
    expect(await applyMigration(migrator, changing(3001))).toBe(true);
    expect(await applyMigration(migrator, changing(3001))).toBe(false);
  });
});
