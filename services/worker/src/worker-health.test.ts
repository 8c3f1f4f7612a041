import { describe, expect, it } from "vitest";
import { BrokerError, untraced } from "@mayfly/spec";
import { createFakeClock, createRecordingLog, seededRandom } from "@mayfly/testkit";
import { runEvery, type Loop } from "./loops/every.ts";
import { createLoopWatch } from "./loops/loop-watch.ts";
import { createWorkerHealth } from "./worker-health.ts";

const INTERVAL_MS = 10_000;

function setUp() {
  const clock = createFakeClock();
  const watch = createLoopWatch(clock);
  const world = {
    sweepAgeSeconds: 3 as number | null,
    hears: true,
    isStopping: false,
    writes: true,
    schema: null as BrokerError | null,
  };
  const health = createWorkerHealth({
    ledger: {
      checkSchema: async () => {
        if (world.schema !== null) throw world.schema;
      },
      checkWrites: async () => {
        if (!world.writes) throw new BrokerError("ledger_unavailable", "It refuses work.");
      },
      health: {
        read: async () => {
          if (world.schema?.code === "ledger_unavailable") throw world.schema;
          return { sweepAgeSeconds: world.sweepAgeSeconds, listingAgeSeconds: null, stuck: 0 };
        },
      },
    },
    listener: { hears: async () => world.hears },
    watch,
    sweepIntervalSeconds: INTERVAL_MS / 1000,
    isStopping: () => world.isStopping,
  });
  const start = (name: string, pass: Loop["pass"], signal: AbortSignal): Promise<void> =>
    runEvery(
      {
        name,
        fields: {},
        attributes: {},
        traced: false,
        isVital: true,
        intervalMs: INTERVAL_MS,
        pass,
      },
      { clock, random: seededRandom(1), log: createRecordingLog(), tracer: untraced, watch },
      signal,
    );
  const failed = async (): Promise<readonly string[]> =>
    (await health.ready()).filter(({ ok }) => !ok).map(({ name }) => name);
  return { clock, health, world, start, failed };
}

describe("a worker's health", () => {
  it("is alive while its loops turn, though passes fail or hang until they are given up", async () => {
    const { clock, health, start } = setUp();
    const stop = new AbortController();
    const loops = [
      start("fails", () => Promise.reject(new Error("the ledger is away")), stop.signal),
      start("hangs", () => new Promise(() => undefined), stop.signal),
    ];
    for (let minute = 0; minute < 10; minute++) {
      await clock.advance(60_000);
      expect(health.alive()).toEqual([
        { name: "fails", ok: true },
        { name: "hangs", ok: true },
      ]);
    }
    stop.abort();
    await clock.advance(120_000);
    await Promise.all(loops);
  });

  it("is not alive once a loop no longer turns", async () => {
    const { clock, health, start } = setUp();
    const stop = new AbortController();
    const ended = start("sweep", () => Promise.resolve(), stop.signal);
    await clock.advance(30_000);
    stop.abort();
    await ended;
    await clock.advance(100_000);
    expect(health.alive()).toEqual([{ name: "sweep", ok: true }]);
    await clock.advance(60_000);
    expect(health.alive()).toEqual([{ name: "sweep", ok: false }]);
  });

  it("is ready when ledger and queue answer, the sweep is fresh, and nobody told it to stop", async () => {
    const { world, failed } = setUp();
    expect(await failed()).toEqual([]);
    world.hears = false;
    expect(await failed()).toEqual(["queue"]);
    world.hears = true;
    for (const age of [21, null]) {
      world.sweepAgeSeconds = age;
      expect(await failed()).toEqual(["sweep"]);
    }
    world.sweepAgeSeconds = 20;
    world.schema = new BrokerError("config_invalid", "The ledger's schema lacks migration 17.");
    expect(await failed()).toEqual(["schema"]);
    world.schema = new BrokerError("ledger_unavailable", "no answer");
    expect(await failed()).toEqual(["ledger", "sweep"]);
    world.schema = null;
    world.writes = false;
    expect(await failed()).toEqual(["ledger"]);
    world.writes = true;
    world.isStopping = true;
    expect(await failed()).toEqual(["process"]);
  });
});
