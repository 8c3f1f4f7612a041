import { expect, test } from "vitest";
import { INVOICE_BOT, createFakeWorld, furnish, proofOf, refusalOf } from "@mayfly/testkit";
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

test("explain takes no token that counts once, used or not", async () => {
  const world = createFakeWorld();
  const core = createCore(world.ports);
  await furnish(world, core);
  const issuer = "https://ci.test";
  const config = { issuer, one_time_tokens: true };
  const by = { kind: "administrator", name: "alice" } as const;
  await core.putTrustRoot({ trust: "ci", kind: "oidc", config }, by);
  const presented = proofOf(world.clock, "repo:acme/app", { kind: "oidc", issuer, jti: "once" });
  const details = {
    type: "mayfly-task",
    goal: "Look",
    deadline: "15m",
    credentials: [{ role: "orders-db/reader" }],
  };
  const subject = { kind: "identity", presented } as const;
  const request = { subject, actor: null, details };
  const refused = await refusalOf(core.explain(request, world.context()));
  expect(refused).toMatchObject({ code: "invalid_identity", where: "subject_token" });
  expect(refused.message).toContain("counts once");
  const opened = await core.exchange({ ...request, idempotency: null }, world.context());
  expect(opened.credentials).toHaveLength(1);
});
