import { expect, test } from "vitest";
import type { BackendCapabilities, CredentialBackend, InstantMs, SweepLedger } from "@mayfly/spec";
import { createFakeAgent, createFakeWorld, furnish, type FakeWorld } from "@mayfly/testkit";
import { createCore, type Core } from "../create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;
const END = { by: ADMIN, state: "killed", reason: "", waitSeconds: 0 } as const;

async function openTask(world: FakeWorld, core: Core, leases: number) {
  const agent = createFakeAgent(world, core);
  const { task } = await agent.open({
    credentials: Array.from({ length: leases }, () => ({ role: "orders-db/reader" })),
  });
  const [lease] = world.ledger.inspect.leases();
  return { task, backendId: lease!.backendId };
}

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

test("of a type that ends many at once four times as many have a place at the backend", async () => {
  const asked = async (capabilities: Partial<BackendCapabilities>): Promise<number> => {
    const world = createFakeWorld({ settings: { passConcurrency: 2 }, capabilities });
    const fake = world.ports.backendTypes.get("fake")!;
    const held = Promise.withResolvers<void>();
    let calls = 0;
    const holding: CredentialBackend = {
      ...fake,
      open: (config, host) => {
        const open = fake.open(config, host);
        if (open.revocation === "none") throw new Error("a fake that cannot revoke");
        const revoke: typeof open.revoke = async (...call) => {
          calls++;
          await held.promise;
          return open.revoke(...call);
        };
        return { ...open, revoke };
      },
    };
    const backendTypes = new Map([...world.ports.backendTypes, ["fake", holding]]);
    const core = createCore({ ...world.ports, backendTypes });
    await furnish(world, core);
    const { task, backendId } = await openTask(world, core, 12);
    await core.endTask({ ...END, taskId: task.id }, world.context());
    const pass = core.runPass(backendId, world.context());
    await world.clock.advance(10);
    const now = calls;
    held.resolve();
    expect(await pass).toMatchObject({ claimed: 12, ended: 12 });
    return now;
  };
  expect(await asked({})).toBe(2);
  expect(await asked({ endsTogether: true })).toBe(8);
});

test("while ends are quick more are claimed than one batch beside another, and no more while not", async () => {
  const claimedWhile = async (quick: number): Promise<number> => {
    const world = createFakeWorld({
      settings: { passConcurrency: 2, claimBatch: 2, claimSeconds: 30 },
      capabilities: { endsTogether: true },
    });
    const recorded = Promise.withResolvers<void>();
    let asked = 0;
    let claimed = 0;
    const { sweepLedger: own } = world.ports;
    const sweepLedger: SweepLedger = {
      ...own,
      claim: async (...claim) => {
        const claims = await own.claim(...claim);
        claimed += claims.length;
        return claims;
      },
      settle: async (...settled) => {
        if (asked++ >= quick) await recorded.promise;
        else await world.clock.sleep(600);
        return own.settle(...settled);
      },
    };
    const core = createCore({ ...world.ports, sweepLedger });
    await furnish(world, core);
    const { task, backendId } = await openTask(world, core, 16);
    await core.endTask({ ...END, taskId: task.id }, world.context());
    const pass = core.runPass(backendId, world.context());
    await world.clock.advance(1_000);
    const now = claimed;
    recorded.resolve();
    expect(await pass).toMatchObject({ claimed: 16, ended: 16 });
    return now;
  };
  expect(await claimedWhile(0)).toBe(4);
  // All that are quick, one batch, and beside it as many as have a place.
  expect(await claimedWhile(4)).toBe(4 + 8 + 2);
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
