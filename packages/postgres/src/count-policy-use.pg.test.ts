import { afterAll, beforeAll, expect, test } from "vitest";
import { countPolicyUse } from "./count-policy-use.ts";
import { connect, CONNECTION_LIMITS, type Sql } from "./sql.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const EVENTS = 20_000;
const COUNTED = 100;

let ledger: TestLedger;
let sql: Sql;
beforeAll(async () => {
  ledger = await createTestLedger();
  sql = connect(ledger.urlOf("mayfly_worker"), "policy-use", 1, {
    ...CONNECTION_LIMITS,
    alwaysByIndex: true,
  });
});
afterAll(async () => {
  await sql.end({ timeout: 1 });
  await ledger.close();
});

/** Rows of events that any statement has read so far; what this connection did is told first. */
async function eventsRead(): Promise<number> {
  await sql`SELECT pg_stat_force_next_flush()`;
  await sql`SELECT 1`;
  const [row] = await ledger.superuser<{ read: number }[]>`
    SELECT sum(seq_tup_read + idx_tup_fetch)::float8 AS read FROM pg_stat_all_tables
    WHERE schemaname = 'mayfly' AND relname LIKE 'events%'`;
  return row?.read ?? 0;
}

test("to count what policies were used reads the entries that it counts, and no other event", async () => {
  const { superuser } = ledger;
  await superuser.begin(async (tx) => {
    await tx`SET LOCAL session_replication_role = replica`;
    await tx`
      INSERT INTO mayfly.events (kind, actor, data)
      SELECT 'role.put', '{"kind": "system", "name": "test"}', '{}' FROM generate_series(1, 500)`;
  });
  // Of decisions the planner has heard nothing, as after the first hour of an installation.
  await superuser`ANALYZE mayfly.events, mayfly.log_entries`;
  await superuser.begin(async (tx) => {
    await tx`SET LOCAL session_replication_role = replica`;
    await tx`
      WITH told AS (
        INSERT INTO mayfly.events (kind, actor, data)
        SELECT 'decision.permitted', '{"kind": "system", "name": "test"}',
          '{"policyDigest": "d", "verdict": {"determining": ["p"]}}'
        FROM generate_series(1, ${EVENTS}::integer)
        RETURNING id
      )
      INSERT INTO mayfly.log_entries (log_index, event_id, leaf_hash, chain_hash, leaf_version)
      SELECT row_number() OVER (ORDER BY id), id, sha256('l'), sha256('c'), 1 FROM told`;
    // All have been counted but the newest.
    await tx`
      UPDATE mayfly.policy_use_head SET log_index = ${EVENTS - COUNTED + 1}::integer`;
  });
  const before = await eventsRead();
  expect(await countPolicyUse(sql, COUNTED)).toBe(COUNTED);
  const read = (await eventsRead()) - before;
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThanOrEqual(2 * COUNTED);
  const [use] = await superuser`SELECT permits::integer FROM mayfly.policy_use`;
  expect(use).toEqual({ permits: COUNTED });
});
