import { afterAll, beforeAll, expect, test } from "vitest";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { applyEnd } from "./apply-end.ts";
import { endedLeases } from "./ended-leases.ts";
import { connect, type Sql } from "./sql.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const { activeLease, endTask, registerBackend } = ledgerFixtures;
const WANTED = { lifetimeSecondsMax: 3600, graceSeconds: 60 };

let ledger: TestLedger;
let sql: Sql;
beforeAll(async () => {
  ledger = await createTestLedger();
  sql = connect(ledger.urlOf("mayfly_broker"), "test-readings", 2);
});
afterAll(async () => {
  await sql.end();
  await ledger.close();
});

test("a reading of more ended leases than a statement reads has all of them, and is not refused", async () => {
  const backend = await registerBackend(ledger.ports);
  const ended: string[] = [];
  for (let left = 5; left > 0; left--) {
    const { task, lease } = await activeLease(ledger.ports, backend);
    await endTask(ledger.ports, task.id);
    ended.push(lease.id);
  }
  for (const pageRows of [1, 2, 5, 10]) {
    const { leases } = await endedLeases(sql, backend.id, WANTED, pageRows);
    expect(leases.map(({ leaseId }) => leaseId).toSorted()).toEqual(ended.toSorted());
  }
});

test("an end whose transaction takes too long is undone, and nothing that ended bears its time", async () => {
  const backend = await registerBackend(ledger.ports);
  const { task, lease } = await activeLease(ledger.ports, backend);
  const actor = { kind: "system", name: "sweep" } as const;
  await ledger.ports.tasks.requestEnd({ taskId: task.id, state: "killed", actor, reason: "test" });
  await expect(applyEnd(sql, task.id, 0)).rejects.toMatchObject({ code: "57014" });
  expect((await ledger.ports.tasks.lease(lease.id))?.state).toBe("active");
  await ledger.ports.tasks.applyEnd(task.id);
  expect((await ledger.ports.tasks.lease(lease.id))?.state).toBe("ending");
});
