import { afterAll, beforeAll, expect, test } from "vitest";
import { parseBackendId } from "@mayfly/spec";
import { readIssuingHealth } from "./issuing-health.ts";
import { connect, CONNECTION_LIMITS, type Sql, type Statement } from "./sql.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const LIVE = 2_000;
const STUCK = 3;
/** After five, a statement that is kept is planned once for all values. */
const READINGS = 8;
const BACKEND = parseBackendId("orders-db", "backend");

let ledger: TestLedger;
let sql: Sql;
beforeAll(async () => {
  ledger = await createTestLedger();
  sql = connect(ledger.urlOf("mayfly_broker"), "issuing-health", 1, {
    ...CONNECTION_LIMITS,
    alwaysByIndex: true,
  });
});
afterAll(async () => {
  await sql.end({ timeout: 1 });
  await ledger.close();
});

test("a broker that started with its ledger counts what is stuck without a walk through all that lives", async () => {
  for (let reading = 0; reading < READINGS; reading++) {
    expect(await readIssuingHealth(sql, BACKEND)).toMatchObject({ stuck: 0 });
  }
  await ledger.superuser.begin(async (tx) => {
    await tx`SET LOCAL session_replication_role = replica`;
    await tx`
      INSERT INTO mayfly.leases (id, task_id, workload, role, decision_id, backend_id,
        backend_type, backend_revision, plan, state, sealed_handle, issue_by, settle_by,
        activated_at, expires_at, due_at, work)
      SELECT mayfly.uuid7(), mayfly.uuid7(), 'spiffe://acme.test/agent', 'orders-db/reader',
        mayfly.uuid7(), ${BACKEND}, 'postgres', 1, '{}',
        CASE WHEN n <= ${STUCK}::integer THEN 'stuck' ELSE 'active' END, '\\x00', now(), now(),
        now(), now(), now(), 'revoke'
      FROM generate_series(1, ${LIVE}::integer) AS n`;
  });
  const { health, read } = await sql.begin(async (tx) => ({
    health: await readIssuingHealth(tx, BACKEND),
    read: await leasesRead(tx),
  }));
  expect(health).toMatchObject({ stuck: STUCK });
  expect(read).toBe(STUCK);
});

/** Rows of leases that this connection's statements have read. */
async function leasesRead(tx: Statement): Promise<number> {
  const [row] = await tx<{ read: number }[]>`
    SELECT sum(seq_tup_read + idx_tup_fetch)::float8 AS read FROM pg_stat_xact_all_tables
    WHERE schemaname = 'mayfly' AND relname LIKE 'leases%'`;
  return row?.read ?? 0;
}
