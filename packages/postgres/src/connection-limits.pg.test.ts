import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { faultOf } from "./faults.ts";
import { connect, CONNECTION_LIMITS, type ConnectionLimits, type Sql } from "./sql.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await createTestLedger();
});
afterAll(() => ledger.close());

async function withSession<T>(limits: ConnectionLimits, run: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = connect(ledger.urlOf("mayfly_worker"), "test-limits", 1, limits);
  try {
    return await run(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

describe("a session with the ledger", () => {
  test("bounds statements, locks and idling in a transaction", async () => {
    const settings = await withSession(
      CONNECTION_LIMITS,
      (sql) =>
        sql`SELECT name, setting FROM pg_settings WHERE name IN ('statement_timeout',
          'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name`,
    );
    expect(settings).toEqual([
      { name: "idle_in_transaction_session_timeout", setting: "10000" },
      { name: "lock_timeout", setting: "5000" },
      { name: "statement_timeout", setting: "10000" },
    ]);
  });

  test("that freezes inside a transaction holds its locks no longer than that", async () => {
    const [locked, thawed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const frozen = withSession({ ...CONNECTION_LIMITS, idleInTransactionMs: 200 }, (sql) =>
      sql.begin(async (tx) => {
        await tx`SELECT FROM mayfly.log_head FOR UPDATE`;
        locked.resolve();
        await thawed.promise;
        await tx`SELECT 1`;
      }),
    ).catch((error: unknown) => faultOf(error)?.code);
    await locked.promise;
    // Before it is thawed: only its end lets anybody else have the lock.
    await ledger.superuser`SELECT FROM mayfly.log_head FOR UPDATE`;
    thawed.resolve();
    expect(["25P03", "CONNECTION_CLOSED"]).toContain(await frozen);
  });
});
