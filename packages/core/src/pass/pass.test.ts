import { describe, expect, test } from "vitest";
import { durationSeconds, plusSeconds, type CredentialBackend, type Task } from "@mayfly/spec";
import {
  createFakeAgent,
  createFakeSealer,
  createFakeWorld,
  furnish,
  loginOf,
  seededRandom,
  type FakeWorldOptions,
} from "@mayfly/testkit";
import { createCore } from "../create-core.ts";
import { backOff } from "./back-off.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;

async function setUp(options: FakeWorldOptions = {}) {
  const world = createFakeWorld(options);
  const core = createCore(world.ports);
  await furnish(world, core);
  const agent = createFakeAgent(world, core);
  const end = (task: Task, waitSeconds = 0) =>
    core.endTask(
      { taskId: task.id, by: ADMIN, state: "completed", reason: "done", waitSeconds },
      world.context(),
    );
  const lease = () => world.ledger.inspect.leases()[0]!;
  const kinds = () =>
    world.ledger.inspect
      .events()
      .filter(({ leaseId }) => leaseId === lease().id)
      .map(({ kind }) => kind);
  return { world, core, agent, end, lease, kinds };
}

describe("a pass", () => {
  test("ends a lease as revoked only after a probe saw the refusal", async () => {
    const { world, core, agent, end, lease } = await setUp();
    const { task, credentials } = await agent.open();
    const { username, password } = loginOf(credentials[0]!);
    world.upstream.openSession(username, password.expose("reply"));
    await end(task);
    const result = await core.runPass(lease().backendId, world.context());
    expect(result).toMatchObject({ claimed: 1, ended: 1, failed: 0 });
    expect(world.upstream.calls.map(({ operation }) => operation).slice(-2)).toEqual([
      "revoke",
      "probe",
    ]);
    expect(lease()).toMatchObject({
      state: "ended",
      outcome: "revoked",
      exposure: { kind: "none" },
      looked: { credentials: 0, sessions: 0 },
    });
  });

  test("a probe that says accepted is a failure, however sure revoke was", async () => {
    const { world, core, agent, end, lease } = await setUp();
    const { task } = await agent.open();
    await end(task);
    world.upstream.fail("revoke", "pretend");
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({
      state: "ending",
      attempts: 1,
      lastError: "The backend still accepts the credential.",
    });
    await world.clock.advance(4000);
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({ state: "ended", outcome: "revoked" });
  });

  test("what outlives its lease is exposed for nobody knows how long, and stuck at once", async () => {
    const world = createFakeWorld();
    const lease = () => world.ledger.inspect.leases()[0]!;
    const fake = world.ports.backendTypes.get("fake")!;
    const replaced = { now: false };
    const standing: CredentialBackend = {
      ...fake,
      capabilities: {
        ...fake.capabilities,
        expiryEnforcedBy: "broker",
        revocation: "none",
        standingSecret: true,
      },
      open: (config, host) => ({
        ...fake.open(config, host),
        revocation: "none",
        replaced: async () => ({ verdict: replaced.now ? "refused" : "accepted", looked: {} }),
      }),
    };
    const backendTypes = new Map([...world.ports.backendTypes, ["fake", standing]]);
    const core = createCore({ ...world.ports, backendTypes });
    await furnish(world, core);
    const { task } = await createFakeAgent(world, core).open();
    const exposure = { kind: "unknown", reason: "live" };
    expect(lease()).toMatchObject({ state: "active", exposure });
    const end = { by: ADMIN, state: "killed", reason: "leaked", waitSeconds: 0 } as const;
    await core.endTask({ taskId: task.id, ...end }, world.context());
    expect(lease()).toMatchObject({ state: "ending", exposure });
    await core.runPass(lease().backendId, world.context());
    const lastError = expect.stringContaining("outlives the lease") as unknown;
    expect(lease()).toMatchObject({ state: "stuck", attempts: 1, exposure, lastError });
    replaced.now = true;
    await world.clock.advance(300_000);
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({
      state: "ended",
      outcome: "absent",
      exposure: { kind: "none" },
    });
  });

  test("a probe that cannot tell ends nothing", async () => {
    const { world, core, agent, end, lease } = await setUp();
    const { task } = await agent.open();
    await end(task);
    world.upstream.fail("probe", "unavailable");
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({ state: "ending", attempts: 1 });
  });

  test("what propagates waits until then, exposed meanwhile, and is probed", async () => {
    const { world, core, agent, end, lease } = await setUp({
      capabilities: { revocation: "propagating" },
      upstream: { propagationSeconds: 60 },
    });
    const { task } = await agent.open();
    await end(task);
    const until = world.clock.now() + 60_000;
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({
      state: "ending",
      attempts: 0,
      nextAttemptAt: until,
      exposure: { kind: "until", until, reason: "propagating" },
    });
    await world.clock.advance(60_000);
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({ state: "ended", outcome: "revoked" });
  });

  test("what is refused only where the backend is asked propagates until it dies: expired", async () => {
    const world = createFakeWorld({ capabilities: { revocation: "propagating" } });
    const lease = () => world.ledger.inspect.leases()[0]!;
    const leewaySeconds = 30;
    const diesAt = () => plusSeconds(lease().expiresAt, leewaySeconds);
    const fake = world.ports.backendTypes.get("fake")!;
    const selfContained: CredentialBackend = {
      ...fake,
      open: (config, host) => {
        const open = fake.open(config, host);
        if (open.revocation !== "propagating") throw new Error("the fake does not propagate");
        return {
          ...open,
          revoke: async () => ({ outcome: "expires", notLaterThan: diesAt() }),
          probe: async () => ({
            verdict: world.clock.now() < diesAt() ? "accepted" : "refused",
            looked: { introspection: "inactive" },
          }),
        };
      },
    };
    const backendTypes = new Map([...world.ports.backendTypes, ["fake", selfContained]]);
    const core = createCore({ ...world.ports, backendTypes });
    await furnish(world, core);
    const { task } = await createFakeAgent(world, core).open();
    const end = { by: ADMIN, state: "killed", reason: "leaked", waitSeconds: 0 } as const;
    await core.endTask({ taskId: task.id, ...end }, world.context());
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({
      state: "ending",
      attempts: 0,
      exposure: { kind: "until", until: diesAt(), reason: "propagating" },
    });
    // Two skews of a second each beyond it.
    await world.clock.advance(diesAt() - world.clock.now() + 2000);
    await core.runPass(lease().backendId, world.context());
    expect(lease().state).toBe("ending");
    await world.clock.advance(10);
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({
      state: "ended",
      outcome: "expired",
      looked: { introspection: "inactive", expired_at: diesAt() },
    });
  });

  test("what cannot be revoked ends expired, past its expiry by more than the margin", async () => {
    const { world, core, agent, end, lease } = await setUp({
      capabilities: { revocation: "none" },
    });
    const { task } = await agent.open();
    await end(task);
    await core.runPass(lease().backendId, world.context());
    const { expiresAt } = lease();
    expect(lease()).toMatchObject({
      state: "ending",
      attempts: 0,
      exposure: { kind: "until", until: expiresAt, reason: "expires_upstream" },
    });
    await world.clock.advance(expiresAt - world.clock.now() + 2000);
    await core.runPass(lease().backendId, world.context());
    expect(lease().state).toBe("ending");
    await world.clock.advance(10);
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({ state: "ended", outcome: "expired" });
    expect(world.upstream.calls.some(({ operation }) => operation === "revoke")).toBe(false);
  });

  test("what neither is revoked nor expires by itself never ends", async () => {
    const { world, core, agent, end, lease } = await setUp({
      capabilities: { revocation: "none", expiryEnforcedBy: "broker" },
      upstream: { refusesExpired: false },
    });
    const { task } = await agent.open();
    await end(task);
    for (let turn = 0; turn < 10; turn++) {
      await core.runPass(lease().backendId, world.context());
      await world.clock.advance(301_000);
    }
    expect(lease()).toMatchObject({ state: "stuck", attempts: 10, outcome: null });
  });

  test("failures back off, become stuck, are retried for ever and resolve by themselves", async () => {
    const { world, core, agent, end, lease, kinds } = await setUp();
    const { task } = await agent.open();
    await end(task);
    world.upstream.fail("revoke", "unavailable", 20);
    for (let turn = 1; turn <= 20; turn++) {
      await core.runPass(lease().backendId, world.context());
      expect(lease().attempts).toBe(turn);
      const waitMs = lease().nextAttemptAt! - world.clock.now();
      const doubled = Math.min(2000 * 2 ** (turn - 1), 300_000);
      expect(waitMs).toBeGreaterThanOrEqual(doubled / 2);
      expect(waitMs).toBeLessThanOrEqual(Math.min(doubled * 1.5, 300_000));
      expect(lease().state).toBe(turn < 3 ? "ending" : "stuck");
      await world.clock.advance(waitMs);
    }
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({ state: "ended", outcome: "revoked" });
    expect(kinds().filter((kind) => kind === "lease.stuck")).toHaveLength(1);
  });

  test("one backend that hangs never holds another's pass", async () => {
    const { world, core, agent, end } = await setUp();
    const { task } = await agent.open({
      credentials: [{ role: "orders-db/reader" }, { role: "other-db/reader" }],
    });
    await end(task);
    world.upstream.fail("revoke", "hang", 100);
    const sweeping = core.sweep(world.context());
    await world.clock.advance(0);
    expect(world.otherUpstream.live()).toEqual([]);
    expect(world.upstream.live()).toHaveLength(1);
    await world.clock.advance(10_000);
    await sweeping;
    const hung = world.ledger.inspect.leases().find(({ backendId }) => backendId === "orders-db")!;
    expect(hung).toMatchObject({ state: "ending", attempts: 1 });
    expect(hung.lastError).toContain("no answer within 10 s");
  });

  test("a sweep is on record before any pass, and waits for one half an interval at most", async () => {
    const { world, core, agent, end, lease } = await setUp();
    const { task } = await agent.open();
    await end(task);
    world.upstream.fail("revoke", "hang", 100);
    const { backendId } = lease();
    await world.clock.advance(19_000);
    const sweeping = core.sweep(world.context());
    await world.clock.settle();
    expect((await world.ledger.health.read(backendId)).sweepAgeSeconds).toBe(0);
    await world.clock.advance(5000);
    expect(await sweeping).toMatchObject({ passes: [], stillRunning: [backendId] });
    await world.clock.advance(10_000);
    expect(lease()).toMatchObject({ state: "ending", attempts: 1 });
  });

  test("a call that hangs for one lease does not hold the backend's others", async () => {
    const { world, core, agent, end } = await setUp();
    const { task } = await agent.open();
    const { task: next } = await agent.open();
    await end(task);
    const { backendId } = world.ledger.inspect.leases()[0]!;
    world.upstream.fail("revoke", "hang");
    const hanging = core.runPass(backendId, world.context());
    await world.clock.settle();
    await end(next);
    await core.runPass(backendId, world.context());
    expect(world.ledger.inspect.leases().map(({ state }) => state)).toEqual(["ending", "ended"]);
    await world.clock.advance(10_000);
    await hanging;
  });

  test("a claim that ran out settles nothing, and the next one does", async () => {
    const { world, core, agent, end, lease } = await setUp();
    const { task } = await agent.open();
    await end(task);
    const { backendId } = lease();
    world.failPoints.at("revoke.after", async () => {
      world.failPoints.at("revoke.after", null);
      // Frozen: the ledger's clock goes on, this process's does not.
      world.clock.jumpWallClock(11_000);
      const rival = createCore(world.ports);
      await rival.runPass(backendId, world.context());
    });
    const result = await core.runPass(backendId, world.context());
    expect(result).toMatchObject({ lost: 1, ended: 0 });
    expect(lease()).toMatchObject({ state: "ended", outcome: "revoked" });
  });

  test("a handle that cannot be unsealed fails with a clear error, and is retried", async () => {
    const { world, agent, end, lease } = await setUp();
    const { task } = await agent.open();
    await end(task);
    const keyless = createCore({ ...world.ports, sealer: createFakeSealer(["another"]) });
    await keyless.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({ state: "ending", attempts: 1 });
    expect(lease().lastError).toContain("sealing keys");
    await world.clock.advance(4000);
    await createCore(world.ports).runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({ state: "ended" });
  });

  test("uses today's configuration, and the lease's own where that cannot be opened", async () => {
    const { world, core, agent, end, lease } = await setUp();
    const { task } = await agent.open();
    await end(task);
    const { backendId } = lease();
    const current = (await world.ledger.catalog.snapshot()).backends.find(
      ({ id }) => id === backendId,
    )!;
    const { updatedAt: _, ...broken } = {
      ...current,
      revision: 2,
      sealedConfig: Uint8Array.of(1, 2, 3),
    };
    await world.ledger.catalog.putBackend(broken, ADMIN);
    await core.runPass(backendId, world.context());
    expect(lease()).toMatchObject({ state: "ended", outcome: "revoked", backendRevision: 1 });
  });

  test("recover is never asked before settleBy, and its quarantine is no failure", async () => {
    const { world, core, agent, lease } = await setUp();
    const crashed = new Promise<void>(() => undefined);
    world.failPoints.at("reserve.after", () => crashed);
    agent.open().catch(() => undefined);
    await world.clock.settle();
    const { backendId, settleBy } = lease();
    await world.clock.advance(settleBy - world.clock.now() - 1);
    expect((await core.runPass(backendId, world.context())).claimed).toBe(0);
    await world.clock.advance(1);
    expect((await core.runPass(backendId, world.context())).waiting).toBe(1);
    const { expiresAt: until } = lease();
    expect(lease()).toMatchObject({
      state: "ending",
      attempts: 0,
      exposure: { kind: "until", until, reason: "unsettled" },
    });
    await world.clock.advance(5000);
    await core.runPass(backendId, world.context());
    expect(lease()).toMatchObject({ state: "ended", outcome: "absent" });
  });

  test("what recover cannot find but surely expires, ends expired after that", async () => {
    const { world, core, agent, lease } = await setUp({ capabilities: { revocation: "none" } });
    world.upstream.fail("issue", "timeout_with_effect");
    await agent.open().catch(() => undefined);
    await world.clock.advance(30_000);
    await core.runPass(lease().backendId, world.context());
    expect(lease().exposure).toMatchObject({ kind: "until", reason: "expires_upstream" });
    await world.clock.advance(900_000);
    await core.runPass(lease().backendId, world.context());
    expect(lease()).toMatchObject({ state: "ended", outcome: "expired" });
  });

  test("what was broken off by a shutdown has not failed", async () => {
    const { world, core, agent, end, lease } = await setUp();
    const { task } = await agent.open();
    await end(task);
    world.upstream.fail("revoke", "hang");
    const passing = core.runPass(lease().backendId, world.context());
    await world.clock.settle();
    await core.close();
    expect(await passing).toMatchObject({ lost: 1, failed: 0 });
    expect(lease()).toMatchObject({ state: "ending", attempts: 0 });
  });
});

test("the wait after a failure is doubled, half to one and a half, at most five minutes", () => {
  const random = seededRandom("back-off");
  const settings = { retryBaseSeconds: 2, retrySecondsMax: 9999 };
  const waits = Array.from({ length: 200 }, () => backOff(settings, random, 2, 0));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(4);
  expect(Math.max(...waits)).toBeLessThanOrEqual(12);
  expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(4);
  expect(backOff(settings, random, 5000, 0)).toBeLessThanOrEqual(300);
  expect(backOff(settings, random, 0, 60)).toBe(durationSeconds(60));
  expect(backOff(settings, random, 0, 6000)).toBe(300);
});
