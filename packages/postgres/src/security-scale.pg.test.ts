import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  durationSeconds,
  instantMs,
  parseBackendId,
  parsePolicyId,
  parseRoleName,
} from "@mayfly/spec";
import { fillLedger, LEFT } from "./testing/fill-ledger.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";
import type { Ledger } from "./open-ledger.ts";

const LEASES = 100_000;
const LIVE = 5000;
const PAGE = { limit: 100, after: null };
const BOT = "spiffe://acme.test/agent/bot-7";
const ROLE = parseRoleName("db-7/reader", "role");
const BACKEND = parseBackendId("db-7", "backend");

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await createTestLedger();
  const filling = { leases: LEASES, live: LIVE, workloads: 1000, roles: 20, lateOneOf: 500 };
  await apart((sql) => fillLedger(sql, filling));
}, 120_000);
afterAll(() => ledger.close());

const ASKING = "asking";

/** In a session of its own, which is waited for: what it has read would be counted later. */
async function apart<T>(run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(ledger.database.url, {
    max: 1,
    connection: { application_name: ASKING },
    onnotice: () => undefined,
  });
  try {
    return await run(sql);
  } finally {
    await sql.end();
  }
}

/** Rows that were read of the ledger's tables, by whichever plan: a session tells as it ends. */
async function rowsRead(ask: (broker: Ledger) => Promise<unknown>): Promise<number> {
  const read = async (): Promise<number> => {
    await brokersGone();
    const [row] = await ledger.superuser<{ read: number }[]>`
      SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::float8 AS read
      FROM pg_stat_user_tables WHERE schemaname = 'mayfly'`;
    return row?.read ?? 0;
  };
  const before = await read();
  const broker = await ledger.open("mayfly_broker", { applicationName: ASKING });
  await ask(broker);
  await broker.close();
  return (await read()) - before;
}

/** What a session has read is counted before it leaves this view, and not when it is told to. */
async function brokersGone(): Promise<void> {
  await expect
    .poll(
      () => ledger.superuser`
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = ${ASKING}`,
      { timeout: 20_000 },
    )
    .toEqual([]);
}

/** A page of a hundred with its tasks and decisions, and each partition's look for it. */
const PAGE_ROWS = 2000;
/** Rows that are read to mark one lease. */
const MARK_ROWS = 8;

describe("at a hundred thousand leases", () => {
  test("the filling is what the bounds are about", async () => {
    const [row] = await apart(
      (sql) => sql<{ leases: number; live: number; late: number }[]>`
        SELECT count(*)::integer AS leases,
          count(*) FILTER (WHERE state <> 'ended')::integer AS live,
          (SELECT count(*)::integer FROM mayfly_audit.late_ends) AS late FROM mayfly.leases`,
    );
    expect(row).toMatchObject({ leases: LEASES, live: LIVE });
    expect(row?.late).toBeGreaterThan(150);
    // It counts: a question without an index reads them all.
    const all = await rowsRead((broker) =>
      broker.queries.tasks({ ref: "x", from: instantMs(0) }, PAGE),
    );
    expect(all).toBeLessThan(PAGE_ROWS);
    const each = await rowsRead((broker) =>
      broker.queries.holders({ fingerprint: "00", exposed: false, initiator: "nobody" }, PAGE),
    );
    expect(each).toBeLessThan(PAGE_ROWS);
  });

  test.for<readonly [string, number, (broker: Ledger) => Promise<unknown>]>([
    ["who holds what", PAGE_ROWS, ({ queries }) => queries.holders({ exposed: true }, PAGE)],
    [
      "what one workload holds",
      PAGE_ROWS,
      ({ queries }) => queries.holders({ exposed: true, workload: BOT }, PAGE),
    ],
    [
      "what is held on somebody's behalf",
      PAGE_ROWS,
      ({ queries }) => queries.holders({ exposed: true, initiator: "person-7" }, PAGE),
    ],
    [
      "what was held on behalf of who has left",
      // A few for each of theirs.
      (LEASES / 20) * 4,
      ({ queries }) => queries.holders({ exposed: false, initiator: LEFT }, PAGE),
    ],
    [
      "what is held on a role",
      // One lease in twenty is on it: all that live are walked through for a page.
      PAGE_ROWS + LIVE,
      ({ queries }) => queries.holders({ exposed: true, role: ROLE }, PAGE),
    ],
    [
      "the tasks of who has none of late",
      // Theirs alone, if that.
      LEASES / 20,
      ({ queries }) => queries.tasks({ initiator: LEFT }, PAGE),
    ],
    ["what an agent touched", PAGE_ROWS, ({ queries }) => queries.touched({ workload: BOT }, PAGE)],
    ["what is exposed", PAGE_ROWS, ({ queries }) => queries.exposure(BOT)],
    [
      "what ended late",
      PAGE_ROWS + 2 * LIVE,
      ({ queries }) => queries.lateEnds({ overSeconds: 30 }, PAGE),
    ],
    [
      "what ended late by an hour, which nothing did",
      PAGE_ROWS + 2 * LIVE,
      ({ queries }) => queries.lateEnds({ overSeconds: 3600 }, PAGE),
    ],
    [
      "which policies never permitted",
      PAGE_ROWS,
      ({ queries }) => queries.policyUse("9f".repeat(32), [parsePolicyId("bots-read", "policy")]),
    ],
    ["what changed", PAGE_ROWS, ({ queries }) => queries.administration({}, PAGE)],
    [
      "whose a leaked string is",
      // Five hundred are sought: a partition of a few thousand rows is read faster than searched.
      LEASES / 4,
      ({ queries }) =>
        queries.byFingerprint(
          Array.from({ length: 500 }, (_, n) => n.toString(16).padStart(64, "0")),
          100,
        ),
    ],
    [
      "what an end by selector would do",
      PAGE_ROWS + 10 * LIVE,
      ({ selectorEnds }) => selectorEnds.preview("tasks", { backendId: BACKEND }, 100),
    ],
  ])("%s is asked of few rows", async ([, most, ask]) => {
    expect(await rowsRead(ask)).toBeLessThan(most);
  });

  test("an end by selector marks in bounded batches, and reads little beside what it ends", async () => {
    const { selectorEnds } = ledger.broker;
    const end = await selectorEnds.request({
      target: "leases",
      selector: { trustDomain: "acme.test" },
      actor: { kind: "administrator", name: "alice" },
      decisionId: null,
      reason: "compromised",
      lookSeconds: durationSeconds(0),
      expectDigest: null,
    });
    const batches: number[] = [];
    const read = await rowsRead(async (broker) => {
      for (let pending = 1; pending > 0;) {
        const marked = await broker.selectorEnds.mark(end.id, 1000, "skip");
        batches.push(marked.marked);
        pending = marked.pending;
      }
    });
    // Each is found, locked, changed and ticked off; a batch that looked at all would read more.
    expect(read).toBeLessThan(MARK_ROWS * LIVE);
    expect(batches).toEqual(Array.from({ length: 5 }, () => 1000));
    expect(await selectorEnds.look(end.id)).toBe(0);
    const report = await selectorEnds.report(end.id, { limit: 10, after: null });
    expect(report).toMatchObject({ leases: LIVE, pending: 0, exposure: { leases: LIVE } });
  });
});
