import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BrokerError, uuidOfId, workloadName, type Reservation, type TaskId } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { outageSoFar } from "./ledger-clock.ts";
import { LiveCounts, roleCount, workloadCount } from "./live-counts.ts";
import { countAhead } from "./reserve-facts.ts";
import { commitOpenings, openingsOf } from "./reserve-openings.ts";
import { connect, type Sql } from "./sql.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const { eventKinds, identity, LIMITS, newTask, openTask, registerBackend, reservationOf, sha256 } =
  ledgerFixtures;
type TestBackend = Awaited<ReturnType<typeof registerBackend>>;

let ledger: TestLedger;
let sql: Sql;
beforeAll(async () => {
  ledger = await createTestLedger();
  sql = connect(ledger.urlOf("mayfly_broker"), "openings", 1);
});
afterAll(async () => {
  await sql.end({ timeout: 1 });
  await ledger.close();
});

/** So that no role has to be counted, however long the test takes. */
function counted(...backends: readonly TestBackend[]): LiveCounts {
  const counts = new LiveCounts(createFakeClock());
  for (const { role } of backends) counts.note(roleCount(role), 0);
  return counts;
}

async function commit(batch: readonly Reservation[], backend: TestBackend) {
  const openings = openingsOf(batch, counted(backend));
  if (openings === null) throw new Error("they are no openings");
  return commitOpenings(sql, openings, outageSoFar(sql, 10));
}

const taskOf = ({ task }: Reservation): TaskId =>
  task.kind === "open" ? task.task.id : task.taskId;

/** Rows of all tables that a reservation writes. */
async function rowsOf(reservation: Reservation): Promise<readonly number[]> {
  const taskId = uuidOfId(taskOf(reservation));
  const [row] = await ledger.superuser<{ counts: number[] }[]>`
    SELECT ARRAY[
      (SELECT count(*) FROM mayfly.tasks WHERE id = ${taskId}),
      (SELECT count(*) FROM mayfly.decisions WHERE task_id = ${taskId}),
      (SELECT count(*) FROM mayfly.leases WHERE task_id = ${taskId}),
      (SELECT count(*) FROM mayfly.events WHERE task_id = ${taskId})]::int[] AS counts`;
  return row?.counts ?? [];
}
const NOTHING = [0, 0, 0, 0];

describe("openings", () => {
  test("are written whole: task, decisions, leases and their events in order", async () => {
    const backend = await registerBackend(ledger.ports);
    const two = await reservationOf(ledger.ports, backend, { leases: 2 });
    const none = await reservationOf(ledger.ports, backend, { leases: 0 });
    const written = await commit([two, none], backend);
    expect(new Set(written?.map(({ id }) => id))).toEqual(
      new Set([two, none].map((each) => uuidOfId(taskOf(each)))),
    );
    expect(await rowsOf(two)).toEqual([1, 2, 2, 5]);
    expect(await rowsOf(none)).toEqual([1, 0, 0, 1]);
    expect(await eventKinds(ledger.ports, { taskId: taskOf(two) })).toEqual([
      "task.opened",
      "decision.permitted",
      "decision.permitted",
      "lease.reserved",
      "lease.reserved",
    ]);
  });

  const spoilt: Readonly<Record<string, (backend: TestBackend) => Promise<unknown>>> = {
    "the catalogue has moved": () => registerBackend(ledger.ports),
    "the backend is at another revision": ({ id }) => ledger.superuser`
      UPDATE mayfly.backends SET revision = 2 WHERE id = ${id}`,
    "the backend is disabled": ({ id }) => ledger.superuser`
      UPDATE mayfly.backends SET enabled = false WHERE id = ${id}`,
    "the backend is deleted": ({ id }) => ledger.superuser`
      UPDATE mayfly.backends SET deleted_at = now() WHERE id = ${id}`,
    "the backend is closed while its leases are looked for": ({ id }) => ledger.superuser`
      UPDATE mayfly.backends SET closing_until = now() + interval '1 min' WHERE id = ${id}`,
  };
  test.each(Object.entries(spoilt))("are not written when %s", async (_, spoil) => {
    const backend = await registerBackend(ledger.ports);
    const reservation = await reservationOf(ledger.ports, backend);
    await spoil(backend);
    expect(await commit([reservation], backend)).toBeNull();
    expect(await rowsOf(reservation)).toEqual(NOTHING);
  });

  test("do not wait for a backend that is being deleted, and are not written", async () => {
    const backend = await registerBackend(ledger.ports);
    const reservation = await reservationOf(ledger.ports, backend);
    const deleter = await ledger.superuser.reserve();
    await deleter`BEGIN`;
    await deleter`SELECT FROM mayfly.backends WHERE id = ${backend.id} FOR UPDATE`;
    expect(await commit([reservation], backend)).toBeNull();
    await deleter`ROLLBACK`;
    deleter.release();
    expect(await rowsOf(reservation)).toEqual(NOTHING);
    expect(await commit([reservation], backend)).toHaveLength(1);
  });

  test("are not written when a workload would have more than the least of their limits", async () => {
    const backend = await registerBackend(ledger.ports);
    const who = identity(ledger.ports);
    const opening = (perWorkload: number) =>
      reservationOf(ledger.ports, backend, {
        open: newTask(ledger.ports, { identity: who }),
        reservation: { limits: { ...LIMITS, perWorkload } },
      });
    const [first, second] = await Promise.all([opening(3), opening(3)]);
    const third = await opening(2);
    expect(await commit([first], backend)).toHaveLength(1);
    expect(await commit([second, third], backend)).toBeNull();
    expect(await rowsOf(second)).toEqual(NOTHING);
    expect(await commit([third], backend)).toHaveLength(1);
    expect(await commit([second], backend)).toHaveLength(1);
    expect(await commit([await opening(3)], backend)).toBeNull();
  });
});

describe("the live leases of a workload with many", () => {
  const ask = async (backend: TestBackend, who = identity(ledger.ports), perWorkload = 100) =>
    reservationOf(ledger.ports, backend, {
      open: newTask(ledger.ports, { identity: who }),
      reservation: { limits: { ...LIMITS, perTask: 40, perWorkload } },
      leases: 40,
    });
  const openings = (batch: readonly Reservation[], counts: LiveCounts) => {
    const taken = openingsOf(batch, counts);
    if (taken === null) throw new Error("they are no openings");
    return taken;
  };
  const written = (batch: readonly Reservation[], counts: LiveCounts) =>
    commitOpenings(sql, openings(batch, counts), outageSoFar(sql, 10));

  test("are counted once, and not again while the count holds", async () => {
    const backend = await registerBackend(ledger.ports);
    const counts = counted(backend);
    const who = identity(ledger.ports);
    expect(await written([await ask(backend, who)], counts)).toHaveLength(1);
    expect(counts.read(workloadCount(workloadName(who.workload)), 100)).toBeNull();
    const stranger = await ask(backend);
    expect(await written([await ask(backend, who), stranger], counts)).toHaveLength(2);
    expect(counts.read(workloadCount(workloadName(who.workload)), 100)).toBe(40);
    const more = await reservationOf(ledger.ports, backend, {
      open: newTask(ledger.ports, { identity: who }),
      reservation: { limits: { ...LIMITS, perWorkload: 100 } },
    });
    expect([...openings([more], counts).workloads]).toEqual([]);
  });

  test("are counted anew by a batch that may pass the limit, whatever was counted before", async () => {
    const backend = await registerBackend(ledger.ports);
    const counts = counted(backend);
    const who = identity(ledger.ports);
    expect(await written([await ask(backend, who)], counts)).toHaveLength(1);
    counts.note(workloadCount(workloadName(who.workload)), 32);
    expect(await written([await ask(backend, who, 71)], counts)).toBeNull();
  });
});

test("the live leases of a role are counted beside the batches, before a count is too old", async () => {
  const backend = await registerBackend(ledger.ports);
  const clock = createFakeClock();
  const counts = new LiveCounts(clock);
  const batch = [await reservationOf(ledger.ports, backend, { leases: 3 })];
  await ledger.ports.issue.reserve(batch[0]!);
  const role = roleCount(backend.role);
  counts.note(role, 0);
  await clock.advance(999);
  countAhead(sql, batch, counts);
  // Its only connection answers in order.
  await sql`SELECT`;
  expect(counts.read(role, 1000)).toBe(3);
  await clock.advance(1);
  expect(counts.read(role, 1000)).toBe(3);
});

test("what is over a limit in one batch is refused alone, the others are granted", async () => {
  const backend = await registerBackend(ledger.ports);
  const who = identity(ledger.ports);
  const reservations = await Promise.all(
    Array.from({ length: 5 }, () =>
      reservationOf(ledger.ports, backend, {
        open: newTask(ledger.ports, { identity: who }),
        reservation: { limits: { ...LIMITS, perWorkload: 3 } },
      }),
    ),
  );
  const outcomes = await Promise.allSettled(
    reservations.map((each) => ledger.ports.issue.reserve(each)),
  );
  const codes = outcomes.map((outcome) =>
    outcome.status === "fulfilled"
      ? outcome.value.kind
      : BrokerError.is(outcome.reason) && outcome.reason.code,
  );
  expect(codes.map(String).toSorted()).toEqual([
    "lease_limit",
    "lease_limit",
    "reserved",
    "reserved",
    "reserved",
  ]);
});

describe("a batch is read before it is written", () => {
  const key = { scopeSha256: sha256(), key: "k", bodySha256: sha256(), seenGeneration: 0 };
  const asks: Readonly<
    Record<string, (backend: TestBackend) => Promise<Reservation> | Promise<readonly Reservation[]>>
  > = {
    "when one claims a key": (backend) =>
      reservationOf(ledger.ports, backend, { reservation: { idempotency: key } }),
    "when one uses up a token": (backend) =>
      reservationOf(ledger.ports, backend, {
        reservation: { oneTime: { issuer: "i", jti: "j", expiresAt: ledger.ports.now() } },
      }),
    "when one is below another task": async (backend) =>
      reservationOf(ledger.ports, backend, {
        open: newTask(ledger.ports, { parent: await openTask(ledger.ports) }),
      }),
    "when one draws on a task that is there": async (backend) =>
      reservationOf(ledger.ports, backend, { under: await openTask(ledger.ports) }),
    "when one asks for more than a task may have": (backend) =>
      reservationOf(ledger.ports, backend, {
        leases: 3,
        reservation: { limits: { ...LIMITS, perTask: 2 } },
      }),
    "when a role may be near its limit": (backend) =>
      reservationOf(ledger.ports, backend, { reservation: { limits: { ...LIMITS, perRole: 0 } } }),
    "when they were judged by different catalogues": async (backend) => [
      await reservationOf(ledger.ports, backend),
      await reservationOf(ledger.ports, backend, { reservation: { catalogVersion: 1 } }),
    ],
    "when they know a backend at different revisions": async (backend) => [
      await reservationOf(ledger.ports, backend),
      await reservationOf(ledger.ports, { ...backend, revision: 2 }),
    ],
  };
  test.each(Object.entries(asks))("%s", async (_, ask) => {
    const backend = await registerBackend(ledger.ports);
    const catalogVersion = await ledger.ports.catalog.version();
    const asked = [await ask(backend)].flat();
    expect(openingsOf(asked, counted(backend))).toBeNull();
    const plain = await reservationOf(ledger.ports, backend, { reservation: { catalogVersion } });
    expect(openingsOf([plain], counted(backend))).not.toBeNull();
  });

  test("when nobody has counted its role a moment ago", async () => {
    const backend = await registerBackend(ledger.ports);
    const plain = await reservationOf(ledger.ports, backend);
    expect(openingsOf([plain], counted())).toBeNull();
  });
});
