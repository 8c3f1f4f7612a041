import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { durationSeconds, instantMs, uuidOfId, type Task } from "@mayfly/spec";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import type { Ledger } from "./open-ledger.ts";
import { CONNECTION_LIMITS } from "./sql.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const {
  activation,
  activeLease,
  ADMIN,
  decision,
  endTask,
  newTask,
  openTask,
  refusedWith,
  registerBackend,
  reservationOf,
  reserve,
  reserveLease,
} = ledgerFixtures;

let ledger: TestLedger;
let brokers: readonly Ledger[];
beforeAll(async () => {
  ledger = await createTestLedger();
  brokers = await Promise.all(Array.from({ length: 8 }, () => ledger.open("mayfly_broker")));
});
afterAll(() => ledger.close());

const portsOf = (broker: Ledger) => ({ ...ledger.ports, issue: broker.issue, tasks: broker.tasks });

/** Holds a row of a task as somebody else's transaction does, until it is let go. */
async function hold(task: Task, strength: "UPDATE" | "KEY SHARE" | "NO KEY UPDATE") {
  const other = await ledger.superuser.reserve();
  await other`BEGIN`;
  await other.unsafe(`SELECT FROM mayfly.tasks WHERE id = '${uuidOfId(task.id)}' FOR ${strength}`);
  return async (): Promise<void> => {
    await other`ROLLBACK`;
    other.release();
  };
}

/** So long the ledger waits for a lock; who is held up by one waits it out. */
const LOCK_WAIT_MS = CONNECTION_LIMITS.lockTimeoutMs;

async function timed<T>(work: Promise<T>): Promise<{ result: T; tookMs: number }> {
  const from = systemClock.monotonicMs();
  const result = await work;
  return { result, tookMs: systemClock.monotonicMs() - from };
}

describe("under load", () => {
  test("a task is ended promptly while eight processes go on exchanging below it", async () => {
    const backend = await registerBackend(ledger.ports);
    const root = await openTask(ledger.ports);
    const children = await Promise.all([1, 2].map(() => openTask(ledger.ports, { parent: root })));
    const limits = { perTask: 1e6, perWorkload: 1e6, perRole: 1e6 };
    let exchanged = 0;
    let refused = 0;
    let stop = false;
    // They go on although they are refused, as a crowd that has not heard of the end does.
    const exchangeOn = async (broker: Ledger, under: Task): Promise<void> => {
      const ports = portsOf(broker);
      while (!stop) {
        try {
          const reservation = await reservationOf(ports, backend, {
            under,
            reservation: { limits },
          });
          const { leases } = await reserve(ports, reservation);
          await broker.issue.activate(leases[0]!, activation(ports));
          exchanged++;
        } catch (error) {
          if ((error as { code?: string }).code !== "task_ended") throw error;
          refused++;
        }
      }
    };
    const crowd = brokers.flatMap((broker) =>
      [root, ...children].map((under) => exchangeOn(broker, under)),
    );
    while (exchanged < 50) await systemClock.sleep(5);
    const beat = await ledger.broker.tasks.heartbeat(root.id, null);
    // The crowd goes on: share locks alone starved the end until the load stopped.
    const end = await endTask(ledger.ports, root.id, "killed");
    const afterEnd = exchanged;
    while (refused < 20) await systemClock.sleep(5);
    stop = true;
    await Promise.all(crowd);

    expect(beat).toBe("beaten");
    expect(new Set(end.ended)).toEqual(new Set([root, ...children].map((task) => task.id)));
    expect(exchanged - afterEnd).toBeLessThanOrEqual(crowd.length);
    const [left] = await ledger.superuser`
      SELECT count(*) FILTER (WHERE state = 'active')::int AS active,
        count(*) FILTER (WHERE state = 'reserved' AND end_requested_at IS NULL)::int AS forgotten
      FROM mayfly.leases WHERE backend_id = ${backend.id}`;
    expect(left).toEqual({ active: 0, forgotten: 0 });
    expect(await ledger.worker.sweep.endStrays(100)).toBe(0);
  });

  test("control: a crowd that locks without looking for the request keeps the end waiting", async () => {
    const task = await openTask(ledger.ports);
    const isWaiting = async (): Promise<boolean> => {
      const [row] = await ledger.superuser<{ waiting: number }[]>`
        SELECT count(*)::int AS waiting FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      return (row?.waiting ?? 0) > 0;
    };
    // From hand to hand, so that there is never an instant at which nobody holds it.
    let letGo = await hold(task, "KEY SHARE");
    let ended = false;
    const ending = endTask(ledger.ports, task.id).finally(() => {
      ended = true;
    });
    while (!(await isWaiting())) await systemClock.sleep(5);
    for (let hands = 0; hands < 10; hands++) {
      const next = await hold(task, "KEY SHARE");
      await letGo();
      letGo = next;
    }
    const endedUnderLoad = ended;
    await letGo();
    expect((await ending).ended).toEqual([task.id]);
    expect(endedUnderLoad).toBe(false);
  });

  test("ends, exchanges, heartbeats and openings of one tree at once neither deadlock nor hang", async () => {
    const backend = await registerBackend(ledger.ports);
    for (let round = 0; round < 4; round++) {
      const root = await openTask(ledger.ports);
      const child = await openTask(ledger.ports, { parent: root });
      const work = brokers.flatMap((broker) => {
        const ports = portsOf(broker);
        return [
          reserveLease(ports, backend, { under: child }).then(({ lease }) =>
            broker.issue.activate(lease, activation(ports)),
          ),
          openTask(ports, { parent: child }),
          broker.tasks.heartbeat(root.id, null),
          endTask(ports, round % 2 === 0 ? root.id : child.id),
        ];
      });
      const outcomes = await Promise.allSettled(work);
      for (const outcome of outcomes) {
        if (outcome.status === "fulfilled") continue;
        expect(outcome.reason).toMatchObject({ code: "task_ended" });
      }
      await endTask(ledger.ports, root.id);
      const [below] = await ledger.superuser`
        SELECT count(*)::int AS active FROM mayfly.tasks
        WHERE root_id = ${uuidOfId(root.id)} AND state = 'active'`;
      expect(below).toEqual({ active: 0 });
    }
  });
});

describe("locks", () => {
  test("a task that somebody holds does not hold up strangers in the same batch", async () => {
    const backend = await registerBackend(ledger.ports);
    const held = await openTask(ledger.ports);
    const { task: alsoHeld, lease } = await reserveLease(ledger.ports, backend);
    const { lease: free } = await reserveLease(ledger.ports, backend);
    const letGo = await hold(held, "UPDATE");
    const letAlsoGo = await hold(alsoHeld, "UPDATE");
    const waiting = reservationOf(ledger.ports, backend, { under: held }).then((reservation) =>
      reserve(ledger.ports, reservation),
    );
    const waitingToo = ledger.broker.issue.activate(lease, activation(ledger.ports));
    const strangers = await timed(
      Promise.all([
        ...Array.from({ length: 5 }, () => reserveLease(ledger.ports, backend)),
        ledger.broker.issue.activate(free, activation(ledger.ports)),
      ]),
    );
    expect(strangers.tookMs).toBeLessThan(LOCK_WAIT_MS);
    await letGo();
    await letAlsoGo();
    expect((await waiting).leases).toHaveLength(1);
    expect((await waitingToo).kind).toBe("active");
  });

  test("who waits for a lock too long is told that it is busy", async () => {
    const backend = await registerBackend(ledger.ports);
    const held = await openTask(ledger.ports);
    const letGo = await hold(held, "UPDATE");
    const reservation = await reservationOf(ledger.ports, backend, { under: held });
    const error = await refusedWith("busy", ledger.broker.issue.reserve(reservation));
    expect(error.retryAfterSeconds).toBe(1);
    await letGo();
  });

  test("a key that a frozen process is inserting holds up only who brought it", async () => {
    const backend = await registerBackend(ledger.ports);
    const idempotency = {
      scopeSha256: ledgerFixtures.sha256(),
      key: ledgerFixtures.unique("key"),
      bodySha256: ledgerFixtures.sha256(),
      seenGeneration: 0,
    };
    const frozen = await ledger.superuser.reserve();
    await frozen`BEGIN`;
    await frozen`
      INSERT INTO mayfly.idempotency_keys
      VALUES (${idempotency.scopeSha256}, ${idempotency.key}, 'x', gen_random_uuid(), 1, now())`;
    const keyed = await reservationOf(ledger.ports, backend, { reservation: { idempotency } });
    const waiting = ledger.broker.issue.reserve(keyed);
    const strangers = await timed(
      Promise.all(Array.from({ length: 5 }, () => reserveLease(ledger.ports, backend))),
    );
    expect(strangers.tookMs).toBeLessThan(LOCK_WAIT_MS);
    await frozen`ROLLBACK`;
    frozen.release();
    expect((await waiting).kind).toBe("reserved");
  });

  test("an exchange never holds up a heartbeat", async () => {
    const task = await openTask(ledger.ports);
    const letGo = await hold(task, "KEY SHARE");
    const { result, tookMs } = await timed(ledger.broker.tasks.heartbeat(task.id, null));
    expect(result).toBe("beaten");
    expect(tookMs).toBeLessThan(LOCK_WAIT_MS);
    await letGo();
  });

  test("a child that is being opened while its parent is ended is ended with it", async () => {
    const root = await openTask(ledger.ports);
    const child = newTask(ledger.ports, { parent: root });
    const opening = await ledger.superuser.reserve();
    await opening`BEGIN`;
    await opening`SELECT FROM mayfly.tasks WHERE id = ${uuidOfId(root.id)} FOR KEY SHARE`;
    const ending = endTask(ledger.ports, root.id, "killed");
    await systemClock.sleep(100);
    await opening`
      INSERT INTO mayfly.tasks (id, parent_id, root_id, ancestors, depth, workload, workload_name,
        descriptor, deadline_at, idle_timeout_seconds, heartbeat_outage_seconds,
        identity_proven_at, identity_max_age_seconds)
      SELECT ${uuidOfId(child.id)}::uuid, id, id, ARRAY[id], 1, workload, workload_name, descriptor,
        deadline_at, idle_timeout_seconds, 0, now(), 60
      FROM mayfly.tasks WHERE id = ${uuidOfId(root.id)}`;
    await opening`COMMIT`;
    opening.release();
    expect(new Set((await ending).ended)).toEqual(new Set([root.id, child.id]));
    expect((await ledger.ports.tasks.find(child.id))?.state).toBe("killed");
  });

  test("a deletion and a reservation of one backend never both succeed", async () => {
    for (let round = 0; round < 6; round++) {
      const backend = await registerBackend(ledger.ports);
      await ledger.ports.catalog.deleteRole(backend.role, ADMIN);
      const reservations = await Promise.all(
        brokers.map((broker) => reservationOf(portsOf(broker), backend)),
      );
      const [deleted, ...reserved] = await Promise.allSettled([
        ledger.ports.catalog.deleteBackend(backend.id, ADMIN),
        ...brokers.map((broker, index) => broker.issue.reserve(reservations[index]!)),
      ]);
      const written = reserved.filter(
        (outcome) => outcome.status === "fulfilled" && outcome.value.kind === "reserved",
      );
      expect(reserved.every((outcome) => outcome.status === "fulfilled")).toBe(true);
      expect([deleted.status, written.length === 0]).toEqual(
        deleted.status === "fulfilled" ? ["fulfilled", true] : ["rejected", false],
      );
    }
  });
});

describe("a listing", () => {
  test("waits for nobody who holds a lease that lives, and finds the orphan beside it", async () => {
    const backend = await registerBackend(ledger.ports);
    const { lease: live } = await activeLease(ledger.ports, backend);
    const { lease: gone } = await reserveLease(ledger.ports, backend);
    await ledger.broker.issue.abandon(gone, "thought to have had no effect");
    const marked = [live, gone].map(({ id: leaseId }) => ({
      mark: { kind: "ours" as const, leaseId, handle: undefined as never },
      externalName: `mf_${leaseId.slice(-6)}`,
      sealedHandle: Uint8Array.of(4, 2),
    }));
    const listedAt = instantMs((await ledger.worker.sweep.now()) + 60_000);
    const ending = await ledger.superuser.reserve();
    await ending`BEGIN`;
    await ending`SELECT FROM mayfly.leases WHERE id = ${uuidOfId(live.id)} FOR UPDATE`;
    try {
      const found = await ledger.worker.sweep.adoptOrphans(backend.id, marked, listedAt);
      expect(found).toEqual({ orphans: [gone.id], unverified: [] });
    } finally {
      await ending`ROLLBACK`;
      ending.release();
    }
  });
});

describe("a batch with a row that cannot be stored", () => {
  test("fails that row alone, and tells its caller", async () => {
    const backend = await registerBackend(ledger.ports);
    const bad = newTask(ledger.ports);
    const unstorable = { ...bad, descriptor: { ...bad.descriptor, goal: "NUL \u0000 in text" } };
    const good = await Promise.all(
      Array.from({ length: 6 }, () => reservationOf(ledger.ports, backend)),
    );
    const refused = await reservationOf(ledger.ports, backend, { open: unstorable });
    const outcomes = await Promise.allSettled(
      [...good.slice(0, 3), refused, ...good.slice(3)].map((each) =>
        ledger.broker.issue.reserve(each),
      ),
    );
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      "fulfilled",
      "fulfilled",
      "fulfilled",
      "rejected",
      "fulfilled",
      "fulfilled",
      "fulfilled",
    ]);
    expect(outcomes[3]).toMatchObject({ reason: { code: "invalid_input" } });
  });

  test("an id that is there already fails its own request alone", async () => {
    const backend = await registerBackend(ledger.ports);
    const { intent } = await reserveLease(ledger.ports, backend);
    const reservation = await reservationOf(ledger.ports, backend);
    const twice = { ...reservation, leases: [{ ...reservation.leases[0]!, id: intent.id }] };
    const [again, fine] = await Promise.allSettled([
      ledger.broker.issue.reserve(twice),
      reserveLease(ledger.ports, backend),
    ]);
    expect(again).toMatchObject({ status: "rejected", reason: { code: "conflict" } });
    expect(fine.status).toBe("fulfilled");
  });

  test("denials and settlements too", async () => {
    const backend = await registerBackend(ledger.ports);
    const denial = (workload: string) =>
      ledger.broker.issue.recordDenial({
        decision: decision(ledger.ports, null),
        workload,
        role: backend.role,
      });
    const denials = await Promise.allSettled([denial("a"), denial("b\u0000"), denial("c")]);
    expect(denials.map((each) => each.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    const leases = await Promise.all([1, 2].map(() => activeLease(ledger.ports, backend)));
    for (const { task } of leases) await endTask(ledger.ports, task.id);
    const { sweep } = ledger.worker;
    const claims = await sweep.claim(backend.id, 10, durationSeconds(5));
    const settled = await Promise.allSettled(
      ["fine", "bad \u0000"].map((looked, index) =>
        sweep.settle(claims[index]!, { kind: "ended", outcome: "revoked", looked: { looked } }),
      ),
    );
    expect(settled.map((each) => each.status)).toEqual(["fulfilled", "rejected"]);
  });
});
