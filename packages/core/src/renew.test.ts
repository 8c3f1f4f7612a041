import { describe, expect, test } from "vitest";
import { durationSeconds } from "@mayfly/spec";
import {
  createFakeAgent,
  createFakeWorld,
  fakePolicySource,
  furnish,
  refusalOf,
  type FakeWorldOptions,
} from "@mayfly/testkit";
import { createCore } from "./create-core.ts";

const READER = "orders-db/reader";
/** Time passes in these tests, and no worker sweeps. */
const SELDOM = { settings: { sweepIntervalSeconds: 3600, listingIntervalSeconds: 3600 } };
const ADMIN = { kind: "administrator", name: "alice" } as const;

async function setUp(options: FakeWorldOptions = {}) {
  const world = createFakeWorld(options);
  const core = createCore(world.ports);
  await furnish(world, core);
  const agent = createFakeAgent(world, core);
  const { task, taskToken } = await agent.open({ credentials: [{ role: READER, issue: "later" }] });
  const draw = { task: task.id, credentials: [{ role: READER, ttl: 60 }] };
  const { credentials: issued } = await agent.under(taskToken, draw);
  const leaseId = issued[0]!.lease;
  const renew = (ttl: number | null = 120, by = task) => {
    const ttlSeconds = ttl === null ? null : durationSeconds(ttl);
    return core.renewLease({ leaseId, ttlSeconds, task: by }, world.context());
  };
  return { world, core, agent, task, taskToken, leaseId, renew };
}

describe("renewal", () => {
  test("records the later expiry before it asks the backend", async () => {
    const { world, renew } = await setUp();
    const later = world.clock.now() + 120_000;
    world.failPoints.at("renew.recorded", async () => {
      expect(world.ledger.inspect.leases()[0]!.expiresAt).toBe(later);
      expect(world.upstream.all()[0]!.expiresAt).toBe(world.clock.now() + 60_000);
    });
    expect((await renew()).expiresAt).toBe(later);
    expect(world.upstream.all()[0]!.expiresAt).toBe(later);
    await world.clock.settle();
    expect(world.alarm.pending.map(({ at }) => at)).toContain(later);
  });

  test("goes no further than role and task allow, and never backwards", async () => {
    const { world, task, renew } = await setUp();
    expect((await renew(null)).expiresAt).toBe(task.deadlineAt);
    expect((await refusalOf(renew(60))).code).toBe("conflict");
    expect((await refusalOf(renew(null))).code).toBe("conflict");
    await world.clock.advance(1);
  });

  test("goes no further than the declared ttl, counted from the reservation", async () => {
    const { world, core, agent } = await setUp(SELDOM);
    const credentials = [{ role: READER, ttl: 90, issue: "later" }];
    const { task, taskToken } = await agent.open({ credentials });
    const draw = { task: task.id, credentials: [{ role: READER, ttl: 30 }] };
    const { credentials: issued } = await agent.under(taskToken, draw);
    const leaseId = issued[0]!.lease;
    const lastAt = world.clock.now() + 90_000;
    const renew = (ttl: number | null) => {
      const ttlSeconds = ttl === null ? null : durationSeconds(ttl);
      return core.renewLease({ leaseId, ttlSeconds, task }, world.context());
    };
    await world.clock.advance(20_000);
    expect((await renew(40)).expiresAt).toBe(world.clock.now() + 40_000);
    await world.clock.advance(20_000);
    expect((await renew(1200)).expiresAt).toBe(lastAt);
    const refused = await refusalOf(renew(null));
    expect(refused).toMatchObject({ code: "conflict", where: "ttl" });
    expect(refused.message).toContain("declared ttl");
    await world.clock.advance(20_000);
    expect((await refusalOf(renew(1200))).code).toBe("conflict");
  });

  test("by a child goes no further than the ttl that its parent declared", async () => {
    const { world, core, agent } = await setUp(SELDOM);
    const parent = await agent.open({ credentials: [{ role: READER, ttl: 90 }] });
    const child = await agent.child(parent);
    await world.clock.advance(30_000);
    const leaseId = child.credentials[0]!.lease;
    const renewal = { leaseId, ttlSeconds: durationSeconds(1200), task: child.task };
    expect((await refusalOf(core.renewLease(renewal, world.context()))).code).toBe("conflict");
  });

  test("goes by the declared credential that covers the lease, not by another's ttl", async () => {
    const { world, core, agent } = await setUp(SELDOM);
    const wide = { role: READER, params: { groups: ["read", "list"] }, ttl: 60 };
    const narrow = { role: READER, params: { groups: ["read"] }, ttl: 600, issue: "later" };
    const { task, credentials } = await agent.open({ credentials: [wide, narrow] });
    await world.clock.advance(30_000);
    const renewal = { leaseId: credentials[0]!.lease, ttlSeconds: durationSeconds(300), task };
    expect((await refusalOf(core.renewLease(renewal, world.context()))).code).toBe("conflict");
  });

  test("is a decision of its own, under today's policy, recorded when it is a denial", async () => {
    const { world, core, renew } = await setUp();
    await renew();
    const rules = [
      { id: "all", effect: "permit" },
      { id: "no-renewals", effect: "forbid", action: "renew" },
    ] as const;
    await core.activatePolicies([fakePolicySource(rules)], ADMIN);
    const refused = await refusalOf(renew(180));
    expect(refused).toMatchObject({
      code: "denied",
      public: { determining_policies: ["no-renewals"] },
    });
    const events = world.ledger.inspect.events().map(({ kind }) => kind);
    expect(events.filter((kind) => kind === "decision.denied")).toHaveLength(1);
  });

  test("is denied when the role gives less now than the lease holds", async () => {
    const { world, core, renew } = await setUp();
    const narrower = {
      role: "orders-db/reader",
      data_class: "confidential",
      reversibility: "read_only",
      environment: "prod",
      groups: ["read"],
    };
    await core.putRole(narrower, ADMIN, world.context());
    expect((await refusalOf(renew())).code).toBe("denied");
  });

  test("of an ended lease, or another task's, is refused; nothing is enabled again", async () => {
    const { world, core, agent, leaseId, renew } = await setUp();
    const { task: other } = await agent.open();
    expect((await refusalOf(renew(120, other))).code).toBe("not_found");
    await core.endLease({ leaseId, by: ADMIN, reason: "drill" }, world.context());
    expect((await refusalOf(renew())).code).toBe("conflict");
    await core.sweep(world.context());
    expect((await refusalOf(renew())).code).toBe("conflict");
    expect(world.upstream.live()).toHaveLength(1);
  });

  test("of what cannot be renewed says so", async () => {
    const { renew } = await setUp({ capabilities: { canRenew: false } });
    expect((await refusalOf(renew())).message).toContain("not renewable");
  });

  test("under a task that is ending is refused", async () => {
    const { world, core, task, taskToken, renew } = await setUp();
    const end = {
      taskId: task.id,
      by: ADMIN,
      state: "killed",
      reason: "",
      waitSeconds: 0,
    } as const;
    await core.endTask(end, world.context());
    const { task: now } = await core.authenticateTask(taskToken, world.context());
    expect((await refusalOf(renew(120, now))).code).toBe("task_ended");
    // Nor with what the caller read of it before.
    expect((await refusalOf(renew(120, task))).code).toBe("conflict");
  });
});
