import { createRecordingLog } from "@mayfly/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { appendLog } from "./append-log.ts";
import { queryCounts } from "./query-counts.ts";
import { connect, CONNECTION_LIMITS, type Sql } from "./sql.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const EVENTS = 20_000;
const PENDING = 100;

let ledger: TestLedger;
let sql: Sql;
beforeAll(async () => {
  ledger = await createTestLedger();
  while ((await ledger.worker.sequencer.append(1000)) > 0);
  sql = connect(ledger.urlOf("mayfly_worker"), "append", 1, {
    ...CONNECTION_LIMITS,
    alwaysByIndex: true,
  });
});
afterAll(async () => {
  await sql.end({ timeout: 1 });
  await ledger.close();
});

interface Reads {
  /** Rows of events that any statement has read so far. */
  readonly rows: number;
  /** Months of events, the default among them, in which any statement has looked so far. */
  readonly looks: Readonly<Record<string, number>>;
}

/** What this connection did is told first. */
async function reads(): Promise<Reads> {
  await sql`SELECT pg_stat_force_next_flush()`;
  await sql`SELECT 1`;
  const tables = await ledger.superuser<{ name: string; rows: number; looks: number }[]>`
    SELECT relname AS name, (seq_tup_read + idx_tup_fetch)::float8 AS rows,
      (seq_scan + idx_scan)::float8 AS looks
    FROM pg_stat_all_tables WHERE schemaname = 'mayfly' AND relname LIKE 'events\_%'
      AND relname <> 'events_pending'`;
  return {
    rows: tables.reduce((sum, table) => sum + table.rows, 0),
    looks: Object.fromEntries(tables.map(({ name, looks }) => [name, looks])),
  };
}

/** Where any statement looked since. */
const lookedIn = (before: Reads, after: Reads): readonly string[] =>
  Object.keys(after.looks).filter((name) => after.looks[name] !== before.looks[name]);

test("to append reads what waits for its place, in the months that have any of it, and no other event", async () => {
  const { superuser } = ledger;
  const insert = (count: number) => superuser`
    INSERT INTO mayfly.events (kind, actor, data)
    SELECT 'role.put', '{"kind": "system", "name": "test"}', '{}'
    FROM generate_series(1, ${count}::integer)
    RETURNING tableoid::regclass::text AS table`;
  // Of most events the planner has heard nothing, as after the first hour of an installation.
  await superuser`ANALYZE mayfly.events, mayfly.events_pending`;
  await superuser`ALTER TABLE mayfly.events DISABLE TRIGGER events_queued`;
  await insert(EVENTS);
  await superuser`ALTER TABLE mayfly.events ENABLE TRIGGER events_queued`;
  const months = new Set((await insert(PENDING)).map(({ table }) => String(table)));
  const before = await reads();
  expect(Object.keys(before.looks).length).toBeGreaterThan(3);
  expect(await appendLog(sql, 1000, createRecordingLog())).toBe(PENDING);
  const after = await reads();
  expect(after.rows - before.rows).toBeGreaterThanOrEqual(PENDING);
  expect(after.rows - before.rows).toBeLessThanOrEqual(2 * PENDING);
  expect(lookedIn(before, after).map((name) => `mayfly.${name}`)).toEqual([...months].toSorted());
});

test("how long the oldest of them waits is read in its month alone", async () => {
  await ledger.superuser`
    INSERT INTO mayfly.events (kind, actor, data, at)
    VALUES ('role.put', '{"kind": "system", "name": "test"}', '{}', date_trunc('second', now())
      - interval '9 seconds')`;
  const before = await reads();
  const counts = await queryCounts(sql);
  const after = await reads();
  expect(counts).toMatchObject({ eventsPending: 1 });
  expect(counts.oldestPendingSeconds).toBeGreaterThanOrEqual(9);
  expect(after.rows - before.rows).toBe(1);
  // The default partition is counted for its own alarm.
  const looked = lookedIn(before, after).filter((name) => name !== "events_default");
  expect(looked).toHaveLength(1);
});
