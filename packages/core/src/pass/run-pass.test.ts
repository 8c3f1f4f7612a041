import { expect, test } from "vitest";
import type { InstantMs, SweepLedger } from "@mayfly/spec";
import { createFakeAgent, createFakeWorld, furnish } from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;

test("a pass goes on from where a full batch ended, and looks from the start before it ends", async () => {
  const world = createFakeWorld({ settings: { claimBatch: 2 } });
  const froms: (InstantMs | null)[] = [];
  const sweepLedger: SweepLedger = {
    ...world.ports.sweepLedger,
    claim: (backendId, limit, seconds, from = null) => {
      froms.push(from);
      return world.ports.sweepLedger.claim(backendId, limit, seconds, from);
    },
  };
  const core = createCore({ ...world.ports, sweepLedger });
  await furnish(world, core);
  const agent = createFakeAgent(world, core);
  const { task } = await agent.open({
    credentials: Array.from({ length: 5 }, () => ({ role: "orders-db/reader" })),
  });
  const end = { taskId: task.id, by: ADMIN, state: "killed", reason: "" } as const;
  await core.endTask({ ...end, waitSeconds: 0 }, world.context());
  const [lease] = world.ledger.inspect.leases();
  const result = await core.runPass(lease!.backendId, world.context());
  expect(result).toMatchObject({ claimed: 5, ended: 5, lost: 0 });
  expect(froms.map((from) => from !== null)).toEqual([false, true, true, false]);
});

test("a lease whose end is being recorded holds no place at its backend", async () => {
  const world = createFakeWorld({ settings: { passConcurrency: 1 } });
  const recorded = Promise.withResolvers<void>();
  const asked: string[] = [];
  const sweepLedger: SweepLedger = {
    ...world.ports.sweepLedger,
    settle: async (claim, outcome) => {
      asked.push(claim.leaseId);
      await recorded.promise;
      return world.ports.sweepLedger.settle(claim, outcome);
    },
  };
  const core = createCore({ ...world.ports, sweepLedger });
  await furnish(world, core);
  const agent = createFakeAgent(world, core);
  const { task } = await agent.open({
    credentials: Array.from({ length: 3 }, () => ({ role: "orders-db/reader" })),
  });
  const end = { taskId: task.id, by: ADMIN, state: "killed", reason: "" } as const;
  await core.endTask({ ...end, waitSeconds: 0 }, world.context());
  const [lease] = world.ledger.inspect.leases();
  const pass = core.runPass(lease!.backendId, world.context());
  await world.clock.advance(100);
  expect(asked).toHaveLength(3);
  expect(world.upstream.calls.filter(({ operation }) => operation === "revoke")).toHaveLength(3);
  recorded.resolve();
  expect(await pass).toMatchObject({ claimed: 3, ended: 3 });
});
