import { BackendError, type BackendSlots, type Issued } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { BackendBench, revoking } from "@mayfly/testkit/contract";
import { describe, expect, test } from "vitest";
import { FakePool } from "./testing/fake-pool.ts";
import { pooledFake } from "./testing/pooled-fake.ts";
import { driveFakePool } from "./testing/pooled-fake-upstream.ts";

/** Of the fake: the longest call takes 5 s, and a slot is kept for 7 s after its tenancy. */
const PAST_QUARANTINE_MS = 7_100;
const LITTLE_LEFT_MS = 2_500;

/** One slot of an upstream that ends whoever has it, and what happens while the ledger answers. */
function scene() {
  const clock = createFakeClock();
  const pool = new FakePool(clock, false);
  let meanwhile: () => Promise<void> = async () => undefined;
  const late = async <T>(answer: T): Promise<T> => {
    const act = meanwhile;
    meanwhile = async () => undefined;
    await act();
    return answer;
  };
  const answeringLate = (slots: BackendSlots): BackendSlots => ({
    ...slots,
    find: async (leaseId) => late(await slots.find(leaseId)),
    last: async (slot) => late(await slots.last(slot)),
  });
  const upstream = driveFakePool(pool, clock, answeringLate);
  const bench = new BackendBench({ backend: pooledFake(pool) }, upstream);
  const open = bench.openAgain(upstream.pool.configOf(1));
  const tenant = async () => {
    const plan = bench.plan();
    return { plan, issued: await open.issue(plan, bench.issueCall()) };
  };
  return {
    bench,
    open,
    clock,
    pool,
    kept: upstream.pool.slots,
    works: ({ material }: Issued) => upstream.tryCredential(material),
    tenant,
    whileTheLedgerAnswers: (act: () => Promise<void>) => (meanwhile = act),
  };
}

/** Whatever can go on goes on, until it waits for the pool. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

describe("an end at an upstream that ends whoever has the slot", () => {
  test.each(["revoke", "recover"] as const)(
    "%s sends nothing when the ledger's answer waited until the next tenant was there",
    async (what) => {
      const { bench, open, clock, kept, works, tenant, whileTheLedgerAnswers } = scene();
      const first = await tenant();
      let next: Issued | null = null;
      whileTheLedgerAnswers(async () => {
        kept.end(first.plan.leaseId);
        await clock.advance(PAST_QUARANTINE_MS);
        next = (await tenant()).issued;
      });
      const { outcome } =
        what === "revoke"
          ? await revoking(open).revoke(first.issued.handle, bench.call())
          : await open.recover(first.plan, null, bench.recoverCall());
      expect(outcome).toBe(what === "revoke" ? "refused" : "absent");
      expect(next).not.toBeNull();
      expect(await works(next!)).toBe("accepted");
    },
  );

  test("recover sends nothing when what it found was recorded so late that the next tenant was there", async () => {
    const { bench, open, clock, kept, works, tenant } = scene();
    const first = await tenant();
    let next: Issued | null = null;
    const found = async (): Promise<void> => {
      kept.end(first.plan.leaseId);
      await clock.advance(PAST_QUARANTINE_MS);
      next = (await tenant()).issued;
    };
    const ended = open.recover(first.plan, null, { ...bench.recoverCall(), found });
    await expect(ended).rejects.toSatisfy(
      (error) => BackendError.isBackendError(error) && /nothing was sent/.test(error.message),
    );
    expect(await works(next!)).toBe("accepted");
  });

  test("recover strikes nobody at a slot where it found nothing, however late its look arrived", async () => {
    const { bench, open, clock, kept, pool, works, tenant } = scene();
    const first = await tenant();
    for (const { slot } of pool.live()) pool.put(slot, { password: null });
    pool.hold();
    const recovering = open.recover(first.plan, null, bench.recoverCall());
    await turns();
    kept.end(first.plan.leaseId);
    await clock.advance(PAST_QUARANTINE_MS);
    const next = tenant();
    await turns();
    pool.release();
    expect((await recovering).outcome).toBe("wait");
    expect(await works((await next).issued)).toBe("accepted");
  });

  test("an end to which the ledger answers too late each time says that it sent nothing", async () => {
    const { bench, open, clock, works, tenant, whileTheLedgerAnswers } = scene();
    const { issued } = await tenant();
    const slowly = async (): Promise<void> => {
      await clock.advance(LITTLE_LEFT_MS);
      whileTheLedgerAnswers(slowly);
    };
    whileTheLedgerAnswers(slowly);
    const ended = revoking(open).revoke(issued.handle, bench.call());
    await expect(ended).rejects.toSatisfy(
      (error) => BackendError.isBackendError(error) && /nothing was sent/.test(error.message),
    );
    expect(await works(issued)).toBe("accepted");
  });

  test("a revocation whose lease has ended sends nothing where it could arrive at the next tenant", async () => {
    const { bench, open, clock, kept, works, tenant } = scene();
    const { plan, issued } = await tenant();
    kept.end(plan.leaseId);
    await clock.advance(LITTLE_LEFT_MS);
    await revoking(open).revoke(issued.handle, bench.call());
    // It stands for whoever might have come: it was left as it is.
    expect(await works(issued)).toBe("accepted");
  });

  test("a revocation whose lease has ended is sent while nobody else can have the slot yet", async () => {
    const { bench, open, kept, works, tenant } = scene();
    const { plan, issued } = await tenant();
    kept.end(plan.leaseId);
    await revoking(open).revoke(issued.handle, bench.call());
    expect(await works(issued)).toBe("refused");
  });
});
