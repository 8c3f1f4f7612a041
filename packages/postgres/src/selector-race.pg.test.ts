import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { durationSeconds, uuidOfId, type BackendId, type LeaseId } from "@mayfly/spec";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const { activeLease, ADMIN, refusedWith, registerBackend } = ledgerFixtures;

let ledger: TestLedger;
/** A broker that was frozen in the middle of a reservation. */
let frozen: postgres.Sql;
beforeAll(async () => {
  ledger = await createTestLedger();
  frozen = postgres(ledger.database.url, { max: 1, onnotice: () => undefined });
});
afterAll(async () => {
  await frozen.end({ timeout: 5 });
  await ledger.close();
});

const requested = (backendId: BackendId) =>
  ledger.ports.selectorEnds.request({
    target: "leases",
    selector: { backendId },
    actor: ADMIN,
    decisionId: null,
    reason: "the backend is disabled and its leases are to end",
    lookSeconds: durationSeconds(0),
    expectDigest: null,
  });

/** A reservation that has written its lease, and commits when it is told to. */
async function reserving(lease: LeaseId): Promise<() => Promise<unknown>> {
  const [written, committing] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const done = frozen.begin(async (tx) => {
    await tx`
      INSERT INTO mayfly.leases
      SELECT (jsonb_populate_record(l, jsonb_build_object('id', mayfly.uuid7()))).*
      FROM mayfly.leases AS l WHERE l.id = ${uuidOfId(lease)}::uuid`;
    written.resolve();
    await committing.promise;
  });
  await Promise.race([written.promise, done]);
  return () => {
    committing.resolve();
    return done;
  };
}

test("a look sees what was being reserved when it began", async () => {
  const backend = await registerBackend(ledger.ports);
  const { lease } = await activeLease(ledger.ports, backend);
  const commit = await reserving(lease.id);
  const end = await requested(backend.id);
  const { selectorEnds } = ledger.ports;
  expect(await selectorEnds.mark(end.id, 10, "skip")).toMatchObject({ marked: 1, pending: 0 });
  const looking = selectorEnds.look(end.id);
  // It waits for two seconds at most.
  await systemClock.sleep(300);
  await commit();
  expect(await looking).toBe(1);
  expect(await selectorEnds.mark(end.id, 10, "skip")).toMatchObject({ marked: 1, pending: 0 });
  expect(await selectorEnds.look(end.id)).toBe(0);
});

test("a look says that it saw not all while a reservation stays open, and goes on later", async () => {
  const backend = await registerBackend(ledger.ports);
  const { lease } = await activeLease(ledger.ports, backend);
  const commit = await reserving(lease.id);
  const end = await requested(backend.id);
  const { selectorEnds } = ledger.ports;
  await selectorEnds.mark(end.id, 10, "skip");
  await refusedWith("busy", selectorEnds.look(end.id));
  await commit();
  expect(await selectorEnds.look(end.id)).toBe(1);
});
