import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { idFromUuid, parseBackendId, plusSeconds, uuidOfId, type BackendId } from "@mayfly/spec";
import { createFakeClock, createRecordingLog } from "@mayfly/testkit";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { createHourlyUpkeep } from "./upkeep.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const {
  activeLease,
  endTask,
  newTask,
  openTask,
  registerBackend,
  reservationOf,
  reserve,
  reserveLease,
} = ledgerFixtures;

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await createTestLedger();
});
afterAll(() => ledger.close());

describe("the ledger's clock", () => {
  const dueOf = async (id: string) =>
    (await ledger.worker.sweep.dueTasks(1000)).find((task) => task.id === id)?.due ?? null;
  /** As if nobody could have written for that long. */
  const outage = (seconds: number) => ledger.superuser`
    UPDATE mayfly.ledger_clock SET ticked_at = now() - make_interval(secs => ${seconds})`;
  const silentFor = (taskId: Parameters<typeof uuidOfId>[0], seconds: number) => ledger.superuser`
    UPDATE mayfly.tasks SET last_heartbeat_at = now() - make_interval(secs => ${seconds})
    WHERE id = ${uuidOfId(taskId)}`;

  beforeEach(() => ledger.worker.sweep.recordSweep(null));

  test("a task that was opened after an outage has no part in it", async () => {
    await outage(500);
    const task = await openTask(ledger.ports, { idleTimeoutSeconds: 60 });
    await ledger.worker.sweep.recordSweep(null);
    await silentFor(task.id, 70);
    expect(await dueOf(task.id)).toBe("idle");
  });

  test("idleness counts only time in which the ledger accepted writes", async () => {
    const task = await openTask(ledger.ports, { idleTimeoutSeconds: 60 });
    await silentFor(task.id, 100);
    expect(await dueOf(task.id)).toBe("idle");
    // The sweep after an outage looks before it ticks, and must not take the outage for silence.
    await outage(95);
    expect(await dueOf(task.id)).toBeNull();
    await ledger.worker.sweep.recordSweep(null);
    expect(await dueOf(task.id)).toBeNull();
    await silentFor(task.id, 170);
    expect(await dueOf(task.id)).toBe("idle");
  });

  test("an outage before a heartbeat counts no more after it", async () => {
    const task = await openTask(ledger.ports, { idleTimeoutSeconds: 60 });
    await outage(500);
    const fresh = await ledger.open("mayfly_broker");
    expect(await fresh.tasks.heartbeat(task.id, null)).toBe("beaten");
    await silentFor(task.id, 70);
    expect(await dueOf(task.id)).toBe("idle");
  });

  test("the deadline counts whatever happened", async () => {
    const task = await openTask(ledger.ports, { deadlineSeconds: 0.05 });
    await outage(500);
    await systemClock.sleep(60);
    expect(await dueOf(task.id)).toBe("deadline");
    await ledger.worker.sweep.recordSweep(null);
  });

  test("a gap of less than two sweeps is none", async () => {
    const task = await openTask(ledger.ports, { idleTimeoutSeconds: 5 });
    await silentFor(task.id, 12);
    await outage(15);
    expect(await dueOf(task.id)).toBe("idle");
  });
});

describe("strays", () => {
  test("live leases and children below a task that is not active are found and ended", async () => {
    const backend = await registerBackend(ledger.ports);
    const { task: root, lease: active } = await activeLease(ledger.ports, backend);
    const { lease: reserved } = await reserveLease(ledger.ports, backend, { under: root });
    const child = await openTask(ledger.ports, { parent: root });
    const below = await activeLease(ledger.ports, backend, { under: child });
    await ledger.superuser`
      UPDATE mayfly.tasks SET state = 'killed', ended_at = now() WHERE id = ${uuidOfId(root.id)}`;
    expect(await ledger.worker.sweep.endStrays(100)).toBe(4);
    expect((await ledger.ports.tasks.find(child.id))?.state).toBe("killed");
    for (const { id } of [active, below.lease]) {
      expect((await ledger.ports.tasks.lease(id))?.state).toBe("ending");
    }
    expect((await ledger.ports.tasks.lease(reserved.id))?.endRequestedAt).not.toBeNull();
    expect(await ledgerFixtures.eventKinds(ledger.ports, { taskId: child.id })).toEqual([
      "task.opened",
      "decision.permitted",
      "lease.reserved",
      "lease.activated",
      "task.ended",
      "lease.ending",
    ]);
    expect(await ledger.worker.sweep.endStrays(100)).toBe(0);
  });
});

describe("upkeep", () => {
  test("partitions are made ahead of need, and rows go into their month's", async () => {
    const partitions = await ledger.superuser`
      SELECT count(*)::int AS months FROM pg_inherits WHERE inhparent = 'mayfly.leases'::regclass`;
    // The month before, this one and three more, and the default.
    expect(partitions).toEqual([{ months: 6 }]);
    expect(await ledger.worker.upkeep.ensurePartitions()).toBe(0);
    await ledger.superuser`SELECT mayfly.ensure_partitions(5)`;
    const backend = await registerBackend(ledger.ports);
    const { lease } = await reserveLease(ledger.ports, backend);
    const [row] = await ledger.superuser`
      SELECT tableoid::regclass::text AS home, to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM') AS month
      FROM mayfly.leases WHERE id = ${uuidOfId(lease.id)}`;
    expect(row?.["home"]).toBe(`mayfly.leases_${String(row?.["month"])}`);
    expect(await ledger.worker.upkeep.rowsInDefault()).toEqual({});
  });

  test("a row without a partition is kept, found, counted, and told of", async () => {
    const task = newTask(ledger.ports);
    const id = idFromUuid("task", "7fffffff-ffff-7fff-bfff-ffffffffffff");
    const reservation = await reservationOf(ledger.ports, await registerBackend(ledger.ports), {
      open: { ...task, id },
      leases: 0,
    });
    await reserve(ledger.ports, reservation);
    expect((await ledger.ports.tasks.find(id))?.state).toBe("active");
    expect(await ledger.worker.upkeep.rowsInDefault()).toEqual({ tasks: 1 });
    expect(await ledger.ports.queries.counts()).toMatchObject({ rowsInDefaultPartitions: 1 });
    const log = createRecordingLog();
    const clock = createFakeClock();
    const upkeep = createHourlyUpkeep(ledger.worker.upkeep, clock, log);
    await upkeep();
    await upkeep();
    expect(log.entries.map((entry) => entry.level)).toEqual(["warn"]);
    await clock.advance(3_700_000);
    await upkeep();
    expect(log.entries).toHaveLength(2);
    await endTask(ledger.ports, id);
  });

  test("upkeep that fails is logged and fails no sweep", async () => {
    const log = createRecordingLog();
    const broker = await ledger.open("mayfly_broker", { log });
    const hourly = createHourlyUpkeep(broker.upkeep, createFakeClock(), log);
    await hourly();
    expect(log.entries.map((entry) => entry.level)).toEqual(["error"]);
  });

  test("expired keys and tokens are purged, and live ones are not", async () => {
    const backend = await registerBackend(ledger.ports);
    const keyed = async () => {
      const idempotency = {
        scopeSha256: ledgerFixtures.sha256(),
        key: ledgerFixtures.unique("key"),
        bodySha256: ledgerFixtures.sha256(),
        seenGeneration: 0,
      };
      const oneTime = {
        issuer: "https://login.acme.test",
        jti: ledgerFixtures.unique("jti"),
        expiresAt: plusSeconds(ledger.ports.now(), 300),
      };
      const reservation = { idempotency, oneTime };
      await reserve(ledger.ports, await reservationOf(ledger.ports, backend, { reservation }));
      return { idempotency, oneTime };
    };
    const [old, live] = [await keyed(), await keyed()];
    await ledger.superuser`
      UPDATE mayfly.idempotency_keys SET expires_at = now() - interval '1 second'
      WHERE key = ${old.idempotency.key}`;
    await ledger.superuser`
      UPDATE mayfly.one_time_tokens SET expires_at = now() - interval '1 second'
      WHERE jti = ${old.oneTime.jti}`;
    expect(await ledger.ports.issue.readIdempotent(old.idempotency)).toBeNull();
    expect(await ledger.worker.upkeep.purgeExpired()).toBe(2);
    const left = await ledger.superuser`SELECT key FROM mayfly.idempotency_keys`;
    expect(left.map((row) => String(row["key"]))).toEqual([live.idempotency.key]);
    expect(await ledger.ports.issue.readIdempotent(live.idempotency)).not.toBeNull();
  });

  test("budgets of backends that are gone are purged once nobody has drawn for an hour", async () => {
    const rate = { perSecond: 1, burst: 2, keptForEnds: 0 };
    const draw = async (id: BackendId): Promise<string> => {
      const asked = { use: "mints", tokens: 1, rate } as const;
      await ledger.broker.backendBudgets.of(id).draw(asked);
      return id;
    };
    const { catalog } = ledger.ports;
    const kept = await registerBackend(ledger.ports);
    const deleted = await registerBackend(ledger.ports);
    await catalog.deleteRole(deleted.role, ledgerFixtures.ADMIN);
    await catalog.deleteBackend(deleted.id, ledgerFixtures.ADMIN);
    const never = parseBackendId(ledgerFixtures.unique("never"), "backend");
    const ids = [await draw(kept.id), await draw(deleted.id), await draw(never)];
    const purge = async (): Promise<readonly string[]> => {
      await ledger.worker.upkeep.purgeExpired();
      const rows = await ledger.superuser<{ id: string }[]>`
        SELECT backend_id AS id FROM mayfly.backend_budgets WHERE backend_id = ANY (${ids})`;
      return rows.map(({ id }) => id).toSorted();
    };
    expect(await purge()).toEqual(ids.toSorted());
    const age = (column: "filled_at" | "mints_paused_until", hours: number) => ledger.superuser`
      UPDATE mayfly.backend_budgets
      SET ${ledger.superuser(column)} = now() - make_interval(hours => ${hours})
      WHERE backend_id = ANY (${ids})`;
    await age("filled_at", 2);
    await age("mints_paused_until", 0);
    expect(await purge()).toEqual(ids.toSorted());
    await age("mints_paused_until", 2);
    expect(await purge()).toEqual([kept.id]);
  });

  test("an expired key that was not purged yet is as good as new", async () => {
    const backend = await registerBackend(ledger.ports);
    const idempotency = {
      scopeSha256: ledgerFixtures.sha256(),
      key: ledgerFixtures.unique("key"),
      bodySha256: ledgerFixtures.sha256(),
      seenGeneration: 0,
    };
    const first = await reservationOf(ledger.ports, backend, { reservation: { idempotency } });
    await reserve(ledger.ports, first);
    await ledger.superuser`
      UPDATE mayfly.idempotency_keys SET expires_at = now() WHERE key = ${idempotency.key}`;
    const other = { ...idempotency, bodySha256: ledgerFixtures.sha256() };
    const again = await reservationOf(ledger.ports, backend, {
      reservation: { idempotency: other },
    });
    expect((await reserve(ledger.ports, again)).generation).toBe(1);
    expect((await ledger.ports.issue.readIdempotent(other))?.bodySha256).toBe(other.bodySha256);
  });
});
