import { expect, test } from "vitest";
import { INVOICE_BOT, createFakeWorld, furnish, proofOf } from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

test("explain says what would be given, or why not, and reserves, mints and records nothing", async () => {
  const world = createFakeWorld();
  const core = createCore(world.ports);
  await furnish(world, core, [
    { id: "readers", effect: "permit", role: "orders-db/reader" },
    { id: "no-writes", effect: "forbid", role: "orders-db/writer" },
  ]);
  const before = world.ledger.inspect.events().length;
  const explain = () =>
    core.explain(
      {
        subject: { kind: "identity", presented: proofOf(world.clock) },
        actor: null,
        details: {
          type: "mayfly-task",
          goal: "Look",
          deadline: "15m",
          credentials: [
            { role: "orders-db/reader", params: { groups: ["read"] } },
            { role: "orders-db/writer" },
            { role: "nowhere/nothing", issue: "later" },
          ],
        },
      },
      world.context(),
    );
  const explanation = await explain();
  expect(explanation).toMatchObject({
    workload: INVOICE_BOT,
    taskId: null,
    credentials: [
      {
        effect: "permit",
        determining: ["readers"],
        would: { grant: { groups: ["read"], connections: 4 }, pausedBecause: null },
      },
      { effect: "deny", determining: ["no-writes"], would: null },
      { effect: "deny", determining: [], would: null },
    ],
  });
  expect(explanation.credentials[2]!.explanation).toBe(
    `No policy permits nowhere/nothing for ${INVOICE_BOT}.`,
  );
  await world.clock.advance(60_000);
  const paused = (await explain()).credentials[0]!.would!.pausedBecause;
  expect(paused).toContain("sweep");
  expect(world.ledger.inspect.events()).toHaveLength(before);
  expect(world.ledger.inspect.tasks()).toEqual([]);
  expect(world.upstream.calls.some(({ operation }) => operation === "issue")).toBe(false);
});
