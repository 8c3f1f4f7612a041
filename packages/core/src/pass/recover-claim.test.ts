import { expect, test } from "vitest";
import { createFakeAgent, createFakeWorld, furnish } from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

async function setUp() {
  const world = createFakeWorld({});
  const core = createCore(world.ports);
  await furnish(world, core);
  const agent = createFakeAgent(world, core);
  const lease = () => world.ledger.inspect.leases()[0]!;
  return { world, core, agent, lease };
}

test("a recovery that was cut off after it had destroyed something ends as revoked, not as absent", async () => {
  const { world, core, agent, lease } = await setUp();
  world.upstream.fail("issue", "timeout_with_effect");
  await agent.open().catch(() => undefined);
  const { backendId, settleBy } = lease();
  await world.clock.advance(settleBy - world.clock.now());
  world.upstream.fail("recover", "reset_after_effect");
  await core.runPass(backendId, world.context());
  expect(world.upstream.live()).toEqual([]);
  expect(lease()).toMatchObject({ state: "ending", looked: { found: { credentials: 1 } } });
  // The retry, and the quarantine of the name.
  for (let passes = 0; passes < 3; passes++) {
    await world.clock.advance(5_000);
    await core.runPass(backendId, world.context());
  }
  expect(lease()).toMatchObject({
    outcome: "revoked",
    looked: { credentials: 0, found: { credentials: 1 } },
  });
});

test("what recover finds stays, where that cannot be recorded", async () => {
  const { world, core, agent, lease } = await setUp();
  world.upstream.fail("issue", "timeout_with_effect");
  await agent.open().catch(() => undefined);
  const { backendId, settleBy } = lease();
  await world.clock.advance(settleBy - world.clock.now());
  world.ledger.faults.refuse("settle");
  await core.runPass(backendId, world.context());
  expect(world.upstream.live()).toHaveLength(1);
  expect(lease()).toMatchObject({ state: "ending" });
});
