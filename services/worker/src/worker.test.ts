import { describe, expect, it } from "vitest";
import { createCore } from "@mayfly/core";
import { instantMs, parseBackendId, parseRoleName, untraced, type Clock } from "@mayfly/spec";
import {
  createFakeAgent,
  createFakeWorld,
  createMemoryLedger,
  furnish,
  refusalOf,
  type FakeWorld,
} from "@mayfly/testkit";
import { startWorker } from "./worker.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;
const ORDERS = parseBackendId("orders-db", "id");
const OTHER = parseBackendId("other-db", "id");
const OTHER_READER = { credentials: [{ role: "other-db/reader", ttl: 5 }], deadline: "30s" };

interface Intervals {
  readonly sweepIntervalSeconds: number;
  readonly listingIntervalSeconds: number;
}
const DEFAULT: Intervals = { sweepIntervalSeconds: 10, listingIntervalSeconds: 60 };
const SHORT: Intervals = { sweepIntervalSeconds: 1, listingIntervalSeconds: 5 };

/** A broker and a worker, as two processes over one ledger and one queue. */
async function setUp(settings: Intervals) {
  const world = createFakeWorld({ settings });
  const broker = createCore(world.ports);
  await furnish(world, broker);
  const worker = () =>
    startWorker({
      clock: world.clock,
      random: world.ports.random,
      log: world.log,
      tracer: untraced,
      core: createCore(world.ports),
      listener: world.alarm.listener,
      sequencer: world.ledger.sequencer,
      settings: world.ports.settings,
    });
  return { world, broker, agent: createFakeAgent(world, broker), worker };
}

/** Time goes on by a tenth of a second, and the promise with it. */
async function whileTimePasses<T>(world: FakeWorld, promise: Promise<T>): Promise<T> {
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  promise.then(done, done);
  for (let turn = 0; turn < 2000 && !isDone; turn++) await world.clock.advance(100);
  return promise;
}

describe("a worker", () => {
  it.each([
    ["the default intervals", DEFAULT],
    ["the demo's intervals", SHORT],
  ])("whose one backend hangs pauses no other's issuing, with %s", async (_what, settings) => {
    const { world, broker, agent, worker } = await setUp(settings);
    const running = await worker();
    const { task } = await agent.open();
    // Every call hangs: listings, and the end of what it holds.
    for (const operation of ["list", "revoke", "probe", "recover"] as const) {
      world.upstream.fail(operation, "hang", 1_000_000);
    }
    const end = { taskId: task.id, by: ADMIN, state: "killed", reason: "" } as const;
    await broker.endTask({ ...end, waitSeconds: 0 }, world.context());
    let refused = 0;
    let sweepAgeMax = 0;
    let listingAgeMax = 0;
    const turnMs = settings.sweepIntervalSeconds * 250;
    for (let turn = 0; turn < 300; turn++) {
      await world.clock.advance(turnMs);
      const { credentials } = await agent.open(OTHER_READER).catch(() => ({ credentials: [] }));
      if (credentials.length === 0) refused++;
      const reading = await world.ledger.health.read(OTHER);
      sweepAgeMax = Math.max(sweepAgeMax, reading.sweepAgeSeconds ?? Infinity);
      listingAgeMax = Math.max(listingAgeMax, reading.listingAgeSeconds ?? Infinity);
    }
    expect(refused).toBe(0);
    expect(sweepAgeMax).toBeLessThan(1.3 * settings.sweepIntervalSeconds);
    expect(listingAgeMax).toBeLessThan(1.3 * settings.listingIntervalSeconds);
    // It did hang all the time.
    const hung = await world.ledger.health.read(ORDERS);
    expect(hung.listingAgeSeconds).toBeGreaterThan(2 * settings.listingIntervalSeconds);
    expect((await refusalOf(agent.open())).message).toContain("the backend does not answer");
    expect(world.upstream.live()).toHaveLength(1);
    world.upstream.heal();
    await whileTimePasses(world, running.close());
  });

  it("sweeps and lists as soon as it starts; until then the refusal says what is awaited", async () => {
    const { world, agent, worker } = await setUp(DEFAULT);
    await world.clock.advance(600_000);
    const refused = await refusalOf(agent.open(OTHER_READER));
    expect(refused.code).toBe("issuing_paused");
    expect(refused.message).toContain("a worker sweeps when it starts and every 10 s");
    const running = await worker();
    await world.clock.settle();
    expect((await agent.open(OTHER_READER)).credentials).toHaveLength(1);
    expect((await agent.open()).credentials).toHaveLength(1);
    await whileTimePasses(world, running.close());
    // Of the queue alone: each lease's alarm.
    expect(world.clock.sleepers).toBe(world.alarm.pending.length);
  });

  it("on a fresh ledger lets issuing begin with its first sweep", async () => {
    const { world, worker } = await setUp(DEFAULT);
    const fresh = createMemoryLedger(world.clock);
    Object.assign(world.ports, {
      issueLedger: fresh.issue,
      taskLedger: fresh.tasks,
      selectorEnds: fresh.selectorEnds,
      sweepLedger: fresh.sweep,
      health: fresh.health,
      catalog: fresh.catalog,
    });
    const broker = createCore(world.ports);
    await furnish(world, { ...broker, sweep: () => Promise.resolve() });
    const agent = createFakeAgent(world, broker);
    const refused = await refusalOf(agent.open());
    expect(refused.message).toContain("no worker has finished a sweep yet: a worker sweeps when");
    const running = await worker();
    await world.clock.settle();
    expect((await agent.open()).credentials).toHaveLength(1);
    await whileTimePasses(world, running.close());
  });

  it("ends in time what is due though the queue's clock is a little ahead of the ledger's", async () => {
    const { world, worker } = await setUp(DEFAULT);
    const { clock } = world;
    const behind: Clock = { ...clock, now: () => instantMs(clock.now() - 200) };
    const ledger = createMemoryLedger(behind);
    Object.assign(world.ports, {
      issueLedger: ledger.issue,
      taskLedger: ledger.tasks,
      selectorEnds: ledger.selectorEnds,
      sweepLedger: ledger.sweep,
      health: ledger.health,
      catalog: ledger.catalog,
    });
    const broker = createCore(world.ports);
    await furnish(world, broker);
    const running = await worker();
    const agent = createFakeAgent(world, broker);
    await world.clock.advance(1_000);
    await agent.open(OTHER_READER);
    await world.clock.advance(400);
    await agent.open(OTHER_READER);
    await world.clock.advance(4_500);
    const states = () => ledger.inspect.leases().map(({ state }) => state);
    expect(states()).toEqual(["active", "active"]);
    // Both alarms ring within half a second, too early; the next sweep comes seconds later.
    await world.clock.advance(1_500);
    expect(states()).toEqual(["ended", "ended"]);
    await whileTimePasses(world, running.close());
    expect(world.clock.sleepers).toBe(0);
  });

  it("lists a backend that is registered while it runs, and no more one that was removed", async () => {
    const { world, broker, worker } = await setUp(DEFAULT);
    const running = await worker();
    await world.clock.settle();
    const config = { address: "third.test", password: "third-backend-password" };
    const third = parseBackendId("third-db", "id");
    const registration = { id: third, type: "other", config };
    await broker.registerBackend(registration, ADMIN, world.context());
    await world.clock.advance(11_000);
    expect((await world.ledger.health.read(third)).listingAgeSeconds).not.toBeNull();
    await broker.deleteRole(parseRoleName("other-db/reader", "role"), ADMIN);
    await broker.deleteBackend(OTHER, ADMIN);
    await world.clock.advance(300_000);
    expect(world.log.messages("error")).toEqual([]);
    expect((await world.ledger.health.read(third)).listingAgeSeconds).toBeLessThan(67);
    await whileTimePasses(world, running.close());
    expect(world.clock.sleepers).toBe(0);
  });

  it("appends to the log in parts of an interval while events come, and looks once where none do", async () => {
    const world = createFakeWorld({ settings: DEFAULT });
    const core = createCore(world.ports);
    const appendedAt: number[] = [];
    let comes = 0;
    const running = await startWorker({
      clock: world.clock,
      random: { bytes: (count) => new Uint8Array(count).fill(128) },
      log: world.log,
      tracer: untraced,
      core,
      listener: world.alarm.listener,
      sequencer: {
        ...world.ledger.sequencer,
        append: (limit) => {
          appendedAt.push(world.clock.monotonicMs());
          return Promise.resolve(Math.min(limit, comes));
        },
      },
      settings: world.ports.settings,
    });
    const during = async (ms: number): Promise<number> => {
      const before = appendedAt.length;
      await world.clock.advance(ms);
      return appendedAt.length - before;
    };
    expect(await during(5_000)).toBeLessThanOrEqual(21);
    comes = 200;
    expect(await during(5_000)).toBeGreaterThanOrEqual(55);
    const gaps = appendedAt.slice(-20).map((at, index, all) => at - (all[index - 1] ?? at));
    expect(Math.max(...gaps)).toBeLessThan(100);
    await whileTimePasses(world, running.close());
  });
});
