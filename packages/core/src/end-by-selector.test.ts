import { describe, expect, test } from "vitest";
import { workloadName, type EndSelector } from "@mayfly/spec";
import { createFakeAgent, createFakeWorld, furnish, INVOICE_BOT, refusalOf } from "@mayfly/testkit";
import { createCore, type Core } from "./create-core.ts";
import type { EndBySelectorRequest } from "./end-by-selector.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;

async function setUp(settings: Parameters<typeof createFakeWorld>[0] = {}) {
  const world = createFakeWorld(settings);
  const core = createCore(world.ports);
  await furnish(world, core);
  const agent = createFakeAgent(world, core);
  const end = (
    selector: EndSelector,
    more: Partial<EndBySelectorRequest> = {},
    with_: Core = core,
  ) =>
    with_.endBySelector(
      {
        target: "tasks",
        selector,
        by: ADMIN,
        decisionId: null,
        reason: "the agent is compromised",
        waitSeconds: 0,
        lookSeconds: 0,
        expectDigest: null,
        limit: 100,
        ...more,
      },
      world.context(),
    );
  return { world, core, agent, end };
}

describe("ending by selector", () => {
  test("kills all tasks of a workload and says of each lease what it is", async () => {
    const { world, agent, end } = await setUp();
    const { task } = await agent.open();
    await agent.open();
    const report = await end({ workload: workloadName(task.workload) }, { waitSeconds: 5 });
    expect(report).toMatchObject({
      end: { result: "none_left" },
      tasks: 2,
      leases: 2,
      pending: 0,
      states: [{ state: "ended", outcome: "revoked", leases: 2 }],
      exposure: { leases: 0, unknown: 0, until: null },
    });
    expect(world.upstream.live()).toEqual([]);
    expect(world.ledger.inspect.tasks().map(({ state }) => state)).toEqual(["killed", "killed"]);
  });

  test("of leases lets their tasks go on", async () => {
    const { world, agent, end } = await setUp();
    await agent.open();
    const [lease] = world.ledger.inspect.leases();
    const selector = { role: lease!.role! };
    const report = await end(selector, { target: "leases", waitSeconds: 5 });
    expect(report.states).toEqual([{ state: "ended", outcome: "revoked", leases: 1 }]);
    expect(world.ledger.inspect.tasks()[0]?.state).toBe("active");
  });

  test("asks no policy, no identity provider and no queue", async () => {
    const { world, agent, end } = await setUp();
    await agent.open();
    world.alarm.failWith(new Error("down"));
    const refuse = (): never => {
      throw new Error("asked");
    };
    const deaf = createCore({
      ...world.ports,
      trustRoots: { ...world.ports.trustRoots, verify: refuse },
      policyCompiler: {
        compile: () => ({ ok: false, problems: [] }),
        compileActive: () => ({ ok: false, problems: [] }),
      },
    });
    const report = await end({ trustDomain: "acme.test" }, { waitSeconds: 5 }, deaf);
    expect(report.exposure.leases).toBe(0);
    expect(world.upstream.live()).toEqual([]);
  });

  test("without waiting tells until when each lease is exposed", async () => {
    const { agent, end } = await setUp();
    await agent.open();
    const { page, exposure } = await end({ workload: INVOICE_BOT });
    expect(page.items).toMatchObject([{ state: "ending", exposure: { kind: "until" } }]);
    expect(exposure).toEqual({ leases: 1, unknown: 0, until: page.items[0]?.expiresAt });
  });

  test("catches what the same workload opens meanwhile, and says how much", async () => {
    const { world, agent, end } = await setUp();
    await agent.open();
    world.failPoints.at("selector_end.marked", async () => {
      world.failPoints.at("selector_end.marked", null);
      await world.clock.advance(1);
      await agent.open();
    });
    const report = await end({ workload: INVOICE_BOT }, { waitSeconds: 5 });
    expect(report).toMatchObject({ tasks: 2, appeared: 1, end: { result: "none_left" } });
    expect(world.upstream.live()).toEqual([]);
  });

  test("goes on looking for as long as it is asked to", async () => {
    const { world, agent, end } = await setUp();
    await agent.open();
    const ending = end({ workload: INVOICE_BOT }, { lookSeconds: 3, waitSeconds: 1 });
    await world.clock.advance(1500);
    await agent.open();
    await world.clock.advance(2500);
    const report = await ending;
    expect(report).toMatchObject({ tasks: 2, appeared: 1, end: { result: "none_left" } });
    expect(report.end.finishedAt).toBeGreaterThanOrEqual(report.end.lookUntil);
  });

  test.for(["selector_end.requested", "selector_end.marked"] as const)(
    "a broker that dies at %s is gone on with by the sweep",
    async (point) => {
      const { world, agent, end } = await setUp();
      await agent.open();
      await agent.open();
      world.failPoints.at(point, () => new Promise(() => undefined));
      end({ workload: INVOICE_BOT }).catch(() => undefined);
      await world.clock.settle();
      world.failPoints.at(point, null);
      const worker = createCore(world.ports);
      await world.clock.advance(11_000);
      const sweeping = worker.sweep(world.context());
      await world.clock.advance(2000);
      await sweeping;
      expect(world.ledger.inspect.tasks().map(({ state }) => state)).toEqual(["killed", "killed"]);
      expect(world.upstream.live()).toEqual([]);
      const events = world.ledger.inspect.events().map(({ kind }) => kind);
      expect(events.filter((kind) => kind === "selector_end.finished")).toHaveLength(1);
    },
  );

  test("is left to the sweeps where looking takes longer than a request", async () => {
    const { world, core, agent, end } = await setUp();
    await agent.open();
    const ending = end({ workload: INVOICE_BOT }, { lookSeconds: 120 });
    await world.clock.advance(61_000);
    const report = await ending;
    expect(report.end).toMatchObject({ finishedAt: null, result: null });
    await core.sweep(world.context());
    await agent.open();
    await world.clock.advance(11_000);
    const began = world.clock.monotonicMs();
    await core.sweep(world.context());
    expect(world.clock.monotonicMs() - began).toBeLessThan(100);
    expect(world.ledger.inspect.tasks().map(({ state }) => state)).toEqual(["killed", "killed"]);
    expect((await world.ledger.selectorEnds.find(report.end.id))?.finishedAt).toBeNull();
    await world.clock.advance(60_000);
    await core.sweep(world.context());
    expect(await world.ledger.selectorEnds.find(report.end.id)).toMatchObject({
      result: "none_left",
    });
  });

  test("two at once end everything once, and both tell the truth", async () => {
    const { world, agent, end } = await setUp();
    await agent.open();
    await agent.open();
    const ending = Promise.all([
      end({ workload: INVOICE_BOT }, { waitSeconds: 5 }),
      end({ trustDomain: "acme.test" }, { waitSeconds: 5 }),
    ]);
    await world.clock.advance(1000);
    for (const report of await ending) {
      expect(report).toMatchObject({ leases: 2, exposure: { leases: 0 }, pending: 0 });
    }
    const kinds = world.ledger.inspect.events().map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "lease.ended")).toHaveLength(2);
    expect(kinds.filter((kind) => kind === "task.end_requested")).toHaveLength(2);
  });

  test("an exchange that is under way is withheld, and leaves nothing behind", async () => {
    const { world, agent, end } = await setUp();
    let report: unknown = null;
    world.failPoints.at("issue.after", async () => {
      world.failPoints.at("issue.after", null);
      report = await end({ workload: INVOICE_BOT });
    });
    expect((await refusalOf(agent.open())).code).toBe("task_ended");
    expect(report).toMatchObject({ tasks: 1, leases: 1, exposure: { leases: 1, unknown: 1 } });
    await world.clock.settle();
    expect(world.upstream.live()).toEqual([]);
  });

  test("a ledger that is lost after the request is told with the end's id", async () => {
    const { world, agent, end } = await setUp();
    await agent.open();
    world.failPoints.at("selector_end.requested", async () => {
      world.ledger.faults.goDown();
    });
    const error = await refusalOf(end({ workload: INVOICE_BOT }));
    expect(error.code).toBe("ledger_unavailable");
    expect(error.public["end"]).toMatch(/^end_[0-9a-f]{32}$/);
    world.ledger.faults.heal();
  });

  test("a set that changed since the dry run is refused, and nothing ends", async () => {
    const { world, agent, end } = await setUp();
    await agent.open();
    const { digest } = await world.ledger.selectorEnds.preview(
      "tasks",
      { workload: INVOICE_BOT },
      10,
    );
    await agent.open();
    const error = await refusalOf(end({ workload: INVOICE_BOT }, { expectDigest: digest }));
    expect(error.code).toBe("conflict");
    expect(world.ledger.inspect.tasks().map(({ state }) => state)).toEqual(["active", "active"]);
  });
});
