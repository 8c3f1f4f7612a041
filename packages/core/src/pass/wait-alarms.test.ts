import { describe, expect, test } from "vitest";
import { createFakeAgent, createFakeWorld, furnish, type FakeWorldOptions } from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;

/** A worker that hears alarms and never sweeps, and a backend whose ends propagate. */
async function setUp(propagationSeconds: number, options: FakeWorldOptions = {}) {
  const world = createFakeWorld({
    capabilities: { revocation: "propagating" },
    upstream: { propagationSeconds },
    ...options,
  });
  const core = createCore(world.ports);
  await furnish(world, core);
  await world.alarm.listener.listen(async (id) => {
    await core.runPass(id, world.context());
  });
  const agent = createFakeAgent(world, core);
  const end = async (taskId: Awaited<ReturnType<typeof agent.open>>["task"]["id"]) => {
    const ending = { by: ADMIN, state: "completed", reason: "done", waitSeconds: 0 } as const;
    await core.endTask({ taskId, ...ending }, world.context());
    await world.clock.advance(0);
  };
  const leases = () => world.ledger.inspect.leases();
  /** Alarms of waits: those of expiries are of generation 0. */
  const waits = () => world.alarm.pending.filter(({ generation }) => generation > 0);
  return { world, core, agent, end, leases, waits };
}

describe("an end that waits", () => {
  test("is over when its backend said, though nobody sweeps", async () => {
    const { world, agent, end, leases } = await setUp(60);
    await end((await agent.open()).task.id);
    expect(leases()).toMatchObject([{ state: "ending", exposure: { reason: "propagating" } }]);
    await world.clock.advance(59_999);
    expect(leases()).toMatchObject([{ state: "ending" }]);
    await world.clock.advance(501);
    expect(leases()).toMatchObject([{ state: "ended", outcome: "revoked", attempts: 0 }]);
  });

  test("is the sweep's where its alarm was lost", async () => {
    const { world, core, agent, end, leases } = await setUp(60);
    await end((await agent.open()).task.id);
    world.alarm.loseAll();
    await world.clock.advance(61_000);
    expect(leases()).toMatchObject([{ state: "ending" }]);
    await core.sweep(world.context());
    expect(leases()).toMatchObject([{ state: "ended", outcome: "revoked" }]);
  });

  test("shares its alarm with all that wait for the same moment", async () => {
    const { world, agent, end, leases, waits } = await setUp(60);
    const { task } = await agent.open({
      credentials: Array.from({ length: 5 }, () => ({ role: "orders-db/reader" })),
    });
    await end(task.id);
    expect(waits()).toHaveLength(1);
    await world.clock.advance(60_500);
    expect(new Set(leases().map(({ outcome }) => outcome))).toEqual(new Set(["revoked"]));
  });

  test("for longer than a day has no alarm", async () => {
    const { agent, end, leases, waits } = await setUp(90_000);
    await end((await agent.open()).task.id);
    expect(leases()).toMatchObject([{ state: "ending", exposure: { reason: "propagating" } }]);
    expect(waits()).toEqual([]);
  });

  test("is told of no earlier than the ledger has it", async () => {
    const { world, agent, end, waits } = await setUp(60);
    const { task } = await agent.open();
    const seen: number[] = [];
    world.failPoints.at("settle.after", async () => {
      seen.push(waits().length);
    });
    await end(task.id);
    expect(seen).toEqual([0]);
    expect(waits()).toHaveLength(1);
  });

  test("until an expiry that the backend enforces is over when the clocks agree on it", async () => {
    const { world, agent, end, leases } = await setUp(0, {
      capabilities: { revocation: "none" },
    });
    await end((await agent.open()).task.id);
    const [lease] = leases();
    const marginMs = 2_000;
    await world.clock.advance((lease?.expiresAt ?? 0) - world.clock.now() + marginMs + 500);
    expect(leases()).toMatchObject([{ state: "ended", outcome: "expired" }]);
  });
});
