import { describe, expect, test } from "vitest";
import { Secret } from "@mayfly/spec";
import { createFakeAgent, createFakeWorld, furnish, refusalOf } from "@mayfly/testkit";
import { createCore } from "../create-core.ts";

async function setUp() {
  const world = createFakeWorld();
  const core = createCore(world.ports);
  await furnish(world, core);
  return { world, core, agent: createFakeAgent(world, core) };
}
const three = {
  credentials: [
    { role: "orders-db/reader" },
    { role: "orders-db/writer" },
    { role: "other-db/reader" },
  ],
};

describe("several credentials in one exchange", () => {
  test("are all minted", async () => {
    const { world, agent } = await setUp();
    const { credentials } = await agent.open(three);
    expect(credentials.map(({ role }) => role)).toEqual([
      "orders-db/reader",
      "orders-db/writer",
      "other-db/reader",
    ]);
    expect(world.upstream.live()).toHaveLength(2);
    expect(world.otherUpstream.live()).toHaveLength(1);
  });

  test("when one fails the others are ended and the task that was opened ends failed", async () => {
    const { world, core, agent } = await setUp();
    world.otherUpstream.fail("issue", "refuse");
    const refused = await refusalOf(agent.open(three));
    expect(refused).toMatchObject({
      code: "backend_rejected",
      where: "authorization_details[0].credentials[2]",
    });
    expect(refused.message).toContain("other-db/reader");
    expect(refused.message).toContain("the other credentials of this request were ended");
    expect(world.ledger.inspect.tasks()).toMatchObject([{ state: "failed" }]);
    const states = world.ledger.inspect.leases().map(({ state, outcome }) => `${state} ${outcome}`);
    expect(states.toSorted()).toEqual(["ended abandoned", "ending null", "ending null"]);
    await core.sweep(world.context());
    expect(world.upstream.live()).toEqual([]);
  });

  test("when one fails under a task that was open before, that task goes on", async () => {
    const { world, agent } = await setUp();
    const credentials = three.credentials.map((one) => ({ ...one, issue: "later" }));
    const { task, taskToken } = await agent.open({ credentials });
    world.otherUpstream.fail("issue", "unavailable");
    const refused = await refusalOf(agent.under(taskToken, { task: task.id, ...three }));
    expect(refused).toMatchObject({ code: "backend_unavailable", retryAfterSeconds: 1 });
    expect(world.ledger.inspect.tasks()).toMatchObject([{ state: "active" }]);
  });

  test("at most four are under way at once", async () => {
    const { world, agent } = await setUp();
    let [now, most] = [0, 0];
    world.failPoints.at("issue.before", async () => {
      most = Math.max(most, ++now);
      await world.clock.settle();
      now--;
    });
    const credentials = Array.from({ length: 12 }, () => ({ role: "orders-db/reader" }));
    await agent.open({ credentials });
    expect(most).toBe(4);
  });

  test("more than sixteen are refused before anything happens", async () => {
    const { agent } = await setUp();
    const credentials = Array.from({ length: 17 }, () => ({ role: "orders-db/reader" }));
    const refused = await refusalOf(agent.open({ credentials }));
    expect(refused).toMatchObject({
      code: "invalid_task",
      where: "authorization_details[0].credentials",
    });
  });
});

describe("an issue that fails", () => {
  test("with effect none drops the reservation", async () => {
    const { world, agent } = await setUp();
    world.upstream.fail("issue", "unavailable");
    expect((await refusalOf(agent.open())).code).toBe("backend_unavailable");
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "ended", outcome: "abandoned" }]);
  });

  test.each(["timeout_with_effect", "timeout_without_effect", "late_effect"] as const)(
    "with an unknown effect (%s) is left for recover, which settles it after settleBy",
    async (fault) => {
      const { world, core, agent } = await setUp();
      world.upstream.fail("issue", fault);
      expect((await refusalOf(agent.open())).code).toBe("backend_unavailable");
      const [lease] = world.ledger.inspect.leases();
      expect(lease).toMatchObject({ state: "reserved" });
      expect(lease!.endRequestedAt).not.toBeNull();
      await core.sweep(world.context());
      expect(world.failPoints.visits).not.toContain("recover.before");
      await world.clock.advance(lease!.settleBy - world.clock.now());
      await core.sweep(world.context());
      world.upstream.deliverLate();
      await world.clock.advance(10_000);
      await core.sweep(world.context());
      expect(world.upstream.live()).toEqual([]);
      const [settled] = world.ledger.inspect.leases();
      const outcome = fault === "timeout_with_effect" ? "revoked" : "absent";
      expect(settled).toMatchObject({ state: "ended", outcome });
    },
  );

  test("a call that hangs is given up at issueBy and the type's longest call", async () => {
    const { world, agent } = await setUp();
    world.upstream.fail("issue", "hang");
    const startedAt = world.clock.now();
    const refused = refusalOf(agent.open());
    await world.clock.advance(2999);
    expect(world.ledger.inspect.leases()[0]!.endRequestedAt).toBeNull();
    await world.clock.advance(1);
    expect((await refused).code).toBe("backend_unavailable");
    expect(world.clock.now() - startedAt).toBe(3000);
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "reserved" }]);
  });

  test("a surprise counts as an unknown effect and says nothing of itself", async () => {
    const world = createFakeWorld();
    const core = createCore(world.ports);
    const agent = createFakeAgent(world, core);
    const type = world.ports.backendTypes.get("fake")!;
    const broken = {
      ...type,
      open: (...args: Parameters<typeof type.open>) => ({
        ...type.open(...args),
        issue: () => Promise.reject(new TypeError("secret-detail of the driver")),
      }),
    };
    world.ports.backendTypes.set("fake", broken);
    await furnish(world, core);
    const refused = await refusalOf(agent.open());
    expect(refused.code).toBe("internal");
    expect(refused.message).not.toContain("secret-detail");
    expect(world.ledger.inspect.leases()).toMatchObject([
      { state: "reserved", endReason: "the outcome of issue is unknown" },
    ]);
  });
});

describe("an activate that does not go through", () => {
  test("its acknowledgement lost, is read again, and the credential is handed out", async () => {
    const { world, agent } = await setUp();
    world.ledger.faults.loseAcknowledgement("activate");
    const { credentials } = await agent.open();
    expect(credentials).toHaveLength(1);
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "active" }]);
  });

  test("and was not committed, drops the secret and asks for the end", async () => {
    const { world, core, agent } = await setUp();
    world.ledger.faults.refuse("activate");
    const refused = await refusalOf(agent.open());
    expect(refused).toMatchObject({ code: "ledger_unavailable", retryAfterSeconds: 1 });
    expect(world.upstream.live()).toEqual([]);
    const [lease] = world.ledger.inspect.leases();
    expect(lease).toMatchObject({ state: "reserved" });
    expect(lease!.endRequestedAt).not.toBeNull();
    await world.clock.advance(60_000);
    await core.sweep(world.context());
    await world.clock.advance(60_000);
    await core.sweep(world.context());
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "ended", outcome: "absent" }]);
  });

  test("its acknowledgement lost and the lease unreadable, drops the secret too", async () => {
    const { world, core, agent } = await setUp();
    world.ledger.faults.loseAcknowledgement("activate");
    world.ledger.faults.refuse("lease");
    expect((await refusalOf(agent.open())).code).toBe("ledger_unavailable");
    await core.sweep(world.context());
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "ended", outcome: "revoked" }]);
    expect(world.upstream.live()).toEqual([]);
  });

  test("withheld because the task is ending, destroys what was minted by the handle in hand", async () => {
    const { world, core, agent } = await setUp();
    world.failPoints.at("issue.after", async () => {
      const [task] = world.ledger.inspect.tasks();
      await core.endTask(
        {
          taskId: task!.id,
          by: { kind: "administrator", name: "alice" },
          state: "killed",
          reason: "drill",
          waitSeconds: 0,
        },
        world.context(),
      );
    });
    const refused = await refusalOf(agent.open());
    expect(refused.code).toBe("task_ended");
    expect(world.upstream.live()).toEqual([]);
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "ending" }]);
    world.failPoints.at("issue.after", null);
    await core.sweep(world.context());
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "ended", outcome: "revoked" }]);
  });

  test("refused because recover took the row, destroys what was minted by the handle in hand", async () => {
    const { world, core, agent } = await setUp();
    let secret: unknown = null;
    world.failPoints.at("issue.after", async () => {
      // The process stands still here until long after settleBy.
      secret = world.upstream.all()[0]!.password;
      world.clock.jumpWallClock(60_000);
      world.upstream.fail("recover", "hang");
      const pass = core.sweep(world.context());
      await world.clock.advance(11_000);
      await pass;
    });
    const refused = await refusalOf(agent.open());
    expect(refused).toMatchObject({ code: "backend_unavailable" });
    expect(refused.message).toContain("destroyed");
    expect(world.upstream.live()).toEqual([]);
    world.log.assertNoSecret(Secret.of(String(secret)));
  });

  test("a token that cannot be signed ends what the reply would have carried", async () => {
    const { world, core, agent } = await setUp();
    world.taskTokens.failSigning();
    expect((await refusalOf(agent.open())).code).toBe("internal");
    expect(world.ledger.inspect.leases()).toMatchObject([{ state: "ending" }]);
    await core.sweep(world.context());
    expect(world.upstream.live()).toEqual([]);
  });
});
