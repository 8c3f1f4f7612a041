import { describe, expect, test } from "vitest";
import type { Task } from "@mayfly/spec";
import { createFakeAgent, createFakeWorld, furnish, proofOf, refusalOf } from "@mayfly/testkit";
import { createCore } from "./create-core.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;

async function setUp(settings: Parameters<typeof createFakeWorld>[0] = {}) {
  const world = createFakeWorld(settings);
  const core = createCore(world.ports);
  await furnish(world, core);
  const agent = createFakeAgent(world, core);
  const end = (task: Task, waitSeconds = 0, with_ = core) =>
    with_.endTask(
      { taskId: task.id, by: ADMIN, state: "completed", reason: "done", waitSeconds },
      world.context(),
    );
  return { world, core, agent, end };
}

describe("ending a task", () => {
  test("asks no policy, no identity provider and no queue", async () => {
    const { world, agent, end } = await setUp();
    const { task } = await agent.open();
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
    const reply = await end(task, 5, deaf);
    expect(reply.task.state).toBe("completed");
    expect(reply.leases).toMatchObject([{ state: "ended", outcome: "revoked" }]);
    expect(world.upstream.live()).toEqual([]);
  });

  test("takes two commits: after the first nothing new comes below it", async () => {
    const { world, agent, end } = await setUp();
    const opened = await agent.open();
    let between: unknown = null;
    world.failPoints.at("end.requested", async () => {
      world.failPoints.at("end.requested", null);
      expect(world.ledger.inspect.tasks()[0]).toMatchObject({
        state: "active",
        endRequested: true,
      });
      between = await refusalOf(agent.child(opened)).then(({ code }) => code);
    });
    await end(opened.task);
    expect(between).toBe("task_ended");
    expect(world.failPoints.visits.slice(-2)).toEqual(["end.requested", "end.marked"]);
  });

  test("without waiting answers what is true: ending, and exposed until then", async () => {
    const { world, agent, end } = await setUp();
    const { task } = await agent.open();
    const { leases } = await end(task);
    expect(leases).toMatchObject([
      { state: "ending", exposure: { kind: "until", reason: "live" } },
    ]);
    await world.clock.settle();
    expect(world.alarm.wokenNow).toEqual(["orders-db"]);
  });

  test("waits no longer than asked for a backend that hangs, and says so", async () => {
    const { world, agent, end } = await setUp();
    const { task } = await agent.open();
    world.upstream.fail("revoke", "hang");
    const ending = end(task, 3);
    await world.clock.advance(3000);
    const { leases } = await ending;
    expect(leases).toMatchObject([{ state: "ending", exposure: { kind: "until" } }]);
    await world.clock.advance(10_000);
  });

  test("waits for what another worker has claimed", async () => {
    const { world, agent, end } = await setUp();
    const { task } = await agent.open();
    const gate = Promise.withResolvers<void>();
    world.failPoints.at("end.marked", async () => {
      world.failPoints.at("revoke.before", () => gate.promise);
      const worker = createCore(world.ports);
      worker.sweep(world.context()).catch(() => undefined);
      await world.clock.settle();
    });
    const ending = end(task, 5);
    await world.clock.advance(1000);
    gate.resolve();
    await world.clock.advance(300);
    expect((await ending).leases).toMatchObject([{ state: "ended", outcome: "revoked" }]);
  });

  test("returns at once when what is left is retried only later", async () => {
    const { world, agent, end } = await setUp();
    const { task } = await agent.open();
    world.upstream.fail("revoke", "unavailable", 100);
    const ending = end(task, 1);
    await world.clock.advance(300);
    expect((await ending).leases).toMatchObject([{ state: "ending", attempts: 1 }]);
  });

  test("twice is the same as once, and the first request stands", async () => {
    const { world, core, agent, end } = await setUp();
    const { task } = await agent.open();
    await end(task, 5);
    const again = await core.endTask(
      { taskId: task.id, by: ADMIN, state: "killed", reason: "late", waitSeconds: 5 },
      world.context(),
    );
    expect(again.task.state).toBe("completed");
    const ends = world.ledger.inspect.events().filter(({ kind }) => kind === "lease.ended");
    expect(ends).toHaveLength(1);
  });

  test("one lease ends while its task goes on", async () => {
    const { world, core, agent } = await setUp();
    const { task, credentials } = await agent.open();
    const by = { kind: "workload", name: "bot" } as const;
    const request = { leaseId: credentials[0]!.lease, by, reason: "no more use" };
    const lease = await core.endLease(request, world.context());
    expect(lease.state).toBe("ending");
    await core.sweep(world.context());
    expect(world.upstream.live()).toEqual([]);
    expect(world.ledger.inspect.tasks()).toMatchObject([{ id: task.id, state: "active" }]);
  });
});

describe("a sweep", () => {
  test("ends what is past its deadline and what is idle, whatever the queue lost", async () => {
    const { world, core, agent } = await setUp();
    await agent.open({ deadline: "1m" });
    await agent.open({ idle_timeout: "20s" });
    const { taskToken } = await agent.open({ idle_timeout: "20s" });
    world.alarm.loseAll();
    await world.clock.advance(15_000);
    await core.heartbeat({ token: taskToken }, world.context());
    await world.clock.advance(10_000);
    await core.sweep(world.context());
    const states = () => world.ledger.inspect.tasks().map(({ state }) => state);
    expect(states()).toEqual(["active", "expired", "active"]);
    await world.clock.advance(35_000);
    expect((await core.sweep(world.context())).tasksEnded).toBe(2);
    expect(states()).toEqual(["expired", "expired", "expired"]);
    expect(world.upstream.live()).toEqual([]);
    const outcomes = world.ledger.inspect.leases().map(({ outcome }) => outcome);
    expect(outcomes).toEqual(["revoked", "revoked", "revoked"]);
  });

  test("does not count an outage of the ledger as idleness", async () => {
    const { world, core, agent } = await setUp();
    await agent.open({ idle_timeout: "20s" });
    await world.clock.advance(10_000);
    world.ledger.faults.goDown();
    await world.clock.advance(60_000);
    world.ledger.faults.heal();
    await core.sweep(world.context());
    expect(world.ledger.inspect.tasks()).toMatchObject([{ state: "active" }]);
    await world.clock.advance(10_000);
    await core.sweep(world.context());
    expect(world.ledger.inspect.tasks()).toMatchObject([{ state: "expired" }]);
  });

  test("applies an end that was requested by a process which died before its second commit", async () => {
    const { world, core, agent, end } = await setUp();
    const { task } = await agent.open();
    world.failPoints.at("end.requested", () => new Promise(() => undefined));
    end(task).catch(() => undefined);
    await world.clock.settle();
    await core.sweep(world.context());
    expect(world.ledger.inspect.tasks()).toMatchObject([{ state: "completed" }]);
    expect(world.upstream.live()).toEqual([]);
  });

  test("is not recorded when the ledger's rows could not be swept", async () => {
    const { world, core, agent } = await setUp();
    await world.clock.advance(25_000);
    world.ledger.faults.refuse("dueTasks");
    expect((await refusalOf(core.sweep(world.context()))).code).toBe("ledger_unavailable");
    expect((await refusalOf(agent.open())).code).toBe("issuing_paused");
  });

  test("one task that cannot be ended does not keep the others", async () => {
    const { world, core, agent } = await setUp();
    await agent.open({ deadline: "1m" });
    await agent.open({ deadline: "1m" });
    await world.clock.advance(61_000);
    world.ledger.faults.refuse("applyEnd");
    expect((await core.sweep(world.context())).tasksEnded).toBe(1);
    await core.sweep(world.context());
    expect(world.ledger.inspect.tasks().map(({ state }) => state)).toEqual(["expired", "expired"]);
  });
});

describe("a heartbeat", () => {
  test("with the token or a fresh identity gives a new token; a stranger learns nothing", async () => {
    const { world, core, agent } = await setUp();
    const { task, taskToken } = await agent.open();
    await world.clock.advance(60_000);
    const beat = await core.heartbeat({ token: taskToken }, world.context());
    expect(beat.taskTokenExpiresAt).toBe(world.clock.now() + 600_000);
    expect(beat.task.lastHeartbeatAt).toBe(world.clock.now());
    const presented = proofOf(world.clock);
    const proven = await core.heartbeat({ taskId: task.id, presented }, world.context());
    expect(proven.task.identityProvenAt).toBe(world.clock.now());
    const stranger = proofOf(world.clock, "spiffe://acme.test/other");
    const refused = core.heartbeat({ taskId: task.id, presented: stranger }, world.context());
    expect((await refusalOf(refused)).code).toBe("not_found");
  });

  test("is refused once the task has ended, or identity was proven too long ago", async () => {
    const { world, core, agent, end } = await setUp();
    const { task, taskToken } = await agent.open({ deadline: "2h" });
    const claims = { ...world.taskTokens.lastClaims!, expiresAt: task.deadlineAt };
    const longLived = await world.taskTokens.sign(claims);
    await world.clock.advance(3_600_000);
    const stale = core.heartbeat({ token: longLived }, world.context());
    expect((await refusalOf(stale)).code).toBe("invalid_identity");
    await end(task);
    const ended = core.heartbeat({ token: longLived }, world.context());
    expect((await refusalOf(ended)).code).toBe("task_ended");
    expect((await refusalOf(core.heartbeat({ token: taskToken }, world.context()))).code).toBe(
      "unauthenticated",
    );
  });

  test("of a task that is bound to a key needs that key", async () => {
    const { world, core, agent } = await setUp();
    const presented = proofOf(world.clock, undefined, { confirmation: "thumb-1" });
    const { task, taskToken } = await agent.open({}, { presented });
    expect(task.confirmation).toBe("thumb-1");
    const bearer = core.heartbeat(
      { taskId: task.id, presented: proofOf(world.clock) },
      world.context(),
    );
    expect((await refusalOf(bearer)).code).toBe("invalid_identity");
    const other = await world.taskTokens.sign({
      ...world.taskTokens.lastClaims!,
      confirmation: null,
    });
    expect((await refusalOf(core.heartbeat({ token: other }, world.context()))).code).toBe(
      "unauthenticated",
    );
    const beat = (confirmation: string | null) => {
      const provenKey =
        confirmation === null ? null : { confirmation, spend: async () => undefined };
      const context = { ...world.context(), ...(provenKey === null ? {} : { provenKey }) };
      return core.heartbeat({ token: taskToken }, context);
    };
    expect((await refusalOf(beat(null))).code).toBe("unauthenticated");
    expect((await refusalOf(beat("thumb-2"))).code).toBe("unauthenticated");
    await beat("thumb-1");
  });
});
