import { describe, expect, test } from "vitest";
import {
  Secret,
  durationSeconds,
  type BackendSlots,
  type LeaseId,
  type SlotAnswer,
} from "@mayfly/spec";
import {
  activeLease,
  activation,
  claimOne,
  endTask,
  eventKinds,
  registerBackend,
  reserveLease,
  type LeaseTimes,
  type TestBackend,
} from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

interface Bench {
  readonly ledger: LedgerUnderTest;
  readonly backend: TestBackend;
  readonly slots: BackendSlots;
  readonly take: (leaseId: LeaseId, pool?: readonly string[]) => Promise<SlotAnswer>;
  readonly reserve: (times?: LeaseTimes) => ReturnType<typeof reserveLease>;
}
type BenchOf = (quarantineSeconds?: number) => Promise<Bench>;

export function describeSlots(ledgerOf: () => LedgerUnderTest): void {
  describe("slots of pooled backends", () => {
    const bench: BenchOf = async (quarantineSeconds = 60) => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const slots = ledger.backendSlots.of(backend.id);
      const wanted = { quarantineSeconds: durationSeconds(quarantineSeconds) };
      return {
        ledger,
        backend,
        slots,
        take: (leaseId, pool = ["a", "b"]) => slots.take(leaseId, { slots: pool, ...wanted }),
        reserve: (times = {}) => reserveLease(ledger, backend, { settleSeconds: 1, ...times }),
      };
    };
    describeTenants(bench);
    describeTaking(bench);
    describeQuarantine(bench);
  });
}

const generationOf = (answer: SlotAnswer): number => {
  if (answer.kind !== "taken") throw new Error(`expected a slot, got ${answer.kind}`);
  return answer.tenancy.generation;
};

/** Reserved, activated and ended by a pass: its lease is `ended` when this resolves. */
async function endedTenant({ ledger, backend, take, reserve }: Bench): Promise<LeaseId> {
  const { lease, task } = await reserve();
  await take(lease.id, ["a"]);
  await ledger.issue.activate(lease, activation(ledger));
  await endTask(ledger, task.id);
  const claim = await claimOne(ledger, backend);
  await ledger.sweep.settle(claim, { kind: "ended", outcome: "revoked", looked: {} });
  return lease.id;
}

function describeTenants(benchOf: BenchOf): void {
  test("D1. a slot has one tenant, however many ask at once, and the others are told when", async () => {
    const { take, reserve } = await benchOf();
    const leases = await Promise.all(Array.from({ length: 6 }, () => reserve()));
    const answers = await Promise.all(leases.map(({ lease }) => take(lease.id)));
    const taken = answers.flatMap((answer) => (answer.kind === "taken" ? [answer.tenancy] : []));
    expect(taken.map(({ slot }) => slot).toSorted()).toEqual(["a", "b"]);
    for (const answer of answers.filter(({ kind }) => kind !== "taken")) {
      expect(answer.kind).toBe("busy");
    }
    const late = await take((await reserve()).lease.id);
    // Leases of 300 s, and a quarantine of a minute.
    expect(late.kind === "busy" && late.freeInSeconds).toBeGreaterThan(340);
    expect(late.kind === "busy" && late.freeInSeconds).toBeLessThanOrEqual(361);
  });

  test("D1. another backend's slot of the same name is another slot", async () => {
    const [first, second] = [await benchOf(), await benchOf()];
    for (const { take, reserve } of [first, second]) {
      expect((await take((await reserve()).lease.id, ["a"])).kind).toBe("taken");
    }
  });

  test("D1. a lease that resurfaced has its slot again", async () => {
    const bench = await benchOf(0);
    const { ledger, backend, take, reserve } = bench;
    const leaseId = await endedTenant(bench);
    await ledger.pass(1_100);
    await ledger.sweep.adoptOrphans(
      backend.id,
      [
        {
          mark: { kind: "ours", leaseId, handle: Secret.of("handle") },
          externalName: "mf_test",
          sealedHandle: Uint8Array.of(1),
        },
      ],
      await ledger.sweep.now(),
    );
    expect((await take((await reserve()).lease.id, ["a"])).kind).toBe("busy");
  });

  test("D4. who has it, and since which generation, is told until the next tenant has it", async () => {
    const bench = await benchOf(0);
    const { ledger, slots, take, reserve } = bench;
    expect(await slots.last("a")).toBeNull();
    const first = await endedTenant(bench);
    expect(await slots.find(first)).toMatchObject({ slot: "a", leaseId: first });
    await ledger.pass(1_100);
    const { lease } = await reserve();
    const generation = generationOf(await take(lease.id, ["a"]));
    expect(await slots.find(first)).toBeNull();
    expect(await slots.last("a")).toMatchObject({ slot: "a", generation, leaseId: lease.id });
  });

  test("D5. for how long nobody else gets the slot is told, before the end and after it", async () => {
    const bench = await benchOf(30);
    const { ledger, slots, take, reserve } = bench;
    const ended = await endedTenant(bench);
    const left = await slots.find(ended);
    expect(left?.hasEnded).toBe(true);
    expect(left?.keptSeconds).toBeGreaterThan(1);
    // From settleBy on, of which a second is left at most.
    expect(left?.keptSeconds).toBeLessThanOrEqual(31);
    const { lease } = await reserve();
    await take(lease.id, ["b"]);
    expect(await slots.last("b")).toMatchObject({ hasEnded: false, keptSeconds: 30 });
    await ledger.issue.abandon(lease, "refused");
    expect(await slots.find(lease.id)).toMatchObject({ hasEnded: true, keptSeconds: 0 });
  });
}

function describeTaking(benchOf: BenchOf): void {
  test("D4. a lease that asks again, or twice at once, has the slot that it had", async () => {
    const { ledger, slots, take, reserve } = await benchOf();
    const { lease } = await reserve();
    const answers = await Promise.all([take(lease.id), take(lease.id), take(lease.id)]);
    expect(new Set(answers.map(generationOf)).size).toBe(1);
    expect(await take(lease.id, ["b", "c"])).toEqual(answers[0]);
    expect(await slots.find(lease.id)).toMatchObject({ leaseId: lease.id });
    const taken = { leaseId: lease.id, kind: "lease.slot_taken" } as const;
    expect(await eventKinds(ledger, taken)).toEqual(["lease.slot_taken"]);
  });

  test("D3. what was taken stands in the events of its lease", async () => {
    const { ledger, backend, take, reserve } = await benchOf();
    const { lease, task } = await reserve();
    const generation = generationOf(await take(lease.id, ["a"]));
    const { items } = await ledger.queries.events(
      { leaseId: lease.id, kind: "lease.slot_taken" },
      { limit: 10, after: null },
    );
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({
      taskId: task.id,
      data: { backendId: backend.id, slot: "a", generation, quarantineSeconds: 60 },
    });
  });

  test("D3. a lease that is not reserved any more, or never was, takes nothing", async () => {
    const { ledger, backend, take, reserve, slots } = await benchOf();
    const { lease: active } = await activeLease(ledger, backend);
    expect(await take(active.id)).toEqual({ kind: "late" });
    const { lease: abandoned } = await reserve();
    await ledger.issue.abandon(abandoned, "refused");
    expect(await take(abandoned.id)).toEqual({ kind: "late" });
    const { lease: ending, task } = await reserve();
    await endTask(ledger, task.id);
    expect(await take(ending.id)).toEqual({ kind: "late" });
    const { lease: late } = await reserve({ issueSeconds: 0 });
    await ledger.pass(20);
    expect(await take(late.id)).toEqual({ kind: "late" });
    expect(await slots.last("a")).toBeNull();
  });

  test("D3. a lease of another backend takes nothing", async () => {
    const [first, second] = [await benchOf(), await benchOf()];
    expect(await first.take((await second.reserve()).lease.id)).toEqual({ kind: "late" });
  });
}

function describeQuarantine(benchOf: BenchOf): void {
  test("D1, D2. after the end nobody has it until the quarantine is over, and then a higher one", async () => {
    const bench = await benchOf(2);
    const { ledger, slots, take, reserve } = bench;
    await endedTenant(bench);
    const first = (await slots.last("a"))?.generation;
    const { lease } = await reserve();
    const busy = await take(lease.id, ["a"]);
    expect(busy.kind).toBe("busy");
    expect(busy.kind === "busy" && busy.freeInSeconds).toBeGreaterThan(0.5);
    expect(busy.kind === "busy" && busy.freeInSeconds).toBeLessThanOrEqual(3);
    await ledger.pass(3_100);
    const next = generationOf(await take(lease.id, ["a"]));
    expect(next).toBeGreaterThan(first!);
    expect(next).toBeLessThan(Number.MAX_SAFE_INTEGER);
  });

  test("D1. quarantine counts from settleBy where the end was earlier", async () => {
    const { ledger, backend, take, reserve } = await benchOf(0);
    const { lease, task } = await reserve({ settleSeconds: 50 });
    await take(lease.id, ["a"]);
    await ledger.issue.activate(lease, activation(ledger));
    await endTask(ledger, task.id);
    const claim = await claimOne(ledger, backend);
    await ledger.sweep.settle(claim, { kind: "ended", outcome: "revoked", looked: {} });
    const busy = await take((await reserve()).lease.id, ["a"]);
    expect(busy.kind === "busy" && busy.freeInSeconds).toBeGreaterThan(40);
  });

  test("D1. what was certainly never sent gives its slot back at once", async () => {
    const { ledger, take, reserve } = await benchOf();
    const { lease } = await reserve();
    const first = generationOf(await take(lease.id, ["a"]));
    await ledger.issue.abandon(lease, "refused");
    const next = await take((await reserve()).lease.id, ["a"]);
    expect(generationOf(next)).toBeGreaterThan(first);
  });

  test("D1. the slot that nobody had for longest is the next one, and a removed one is no more", async () => {
    const { ledger, take, reserve } = await benchOf();
    const slotOf = async (pool: readonly string[]): Promise<string> => {
      const { lease } = await reserve();
      const answer = await take(lease.id, pool);
      await ledger.issue.abandon(lease, "refused");
      return answer.kind === "taken" ? answer.tenancy.slot : answer.kind;
    };
    const pool = ["a", "b", "c"];
    expect([await slotOf(pool), await slotOf(pool), await slotOf(pool)]).toEqual(pool);
    expect([await slotOf(pool), await slotOf(["b"]), await slotOf(["d"])]).toEqual(["a", "b", "d"]);
  });
}
