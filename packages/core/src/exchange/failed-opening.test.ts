import { expect, test } from "vitest";
import { createFakeAgent, createFakeWorld, furnish, refusalOf } from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

async function setUp() {
  const world = createFakeWorld();
  const core = createCore(world.ports);
  await furnish(world, core);
  return { world, core, agent: createFakeAgent(world, core) };
}

test("an opening that is withheld for its repetition leaves that one its task", async () => {
  const { world, core, agent } = await setUp();
  const gate = Promise.withResolvers<void>();
  let visits = 0;
  world.failPoints.at("issue.after", async () => {
    if (++visits === 1) await gate.promise;
  });
  const first = refusalOf(agent.open({}, { key: "k1" }));
  await world.clock.settle();
  await agent.open({}, { key: "k1" });
  gate.resolve();
  expect((await first).code).toBe("conflict");
  await core.sweep(world.context());
  expect(world.ledger.inspect.tasks()).toMatchObject([{ state: "active", endRequested: false }]);
  expect(world.ledger.inspect.leases().map(({ state }) => state)).toEqual(["ended", "active"]);
});

test("an opening whose mint failed can be repeated with its key", async () => {
  const { world, agent } = await setUp();
  world.upstream.fail("issue", "refuse");
  expect((await refusalOf(agent.open({}, { key: "k1" }))).code).toBe("backend_rejected");
  world.upstream.heal();
  const again = await agent.open({}, { key: "k1" });
  expect(again.task.state).toBe("active");
  expect(world.ledger.inspect.tasks()).toHaveLength(1);
});
