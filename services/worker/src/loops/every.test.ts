import { describe, expect, it } from "vitest";
import { untraced, type CallContext, type Random } from "@mayfly/spec";
import { createFakeClock, createRecordingLog } from "@mayfly/testkit";
import { runEvery } from "./every.ts";

const bytesOf = (byte: () => number): Random => ({ bytes: (n) => new Uint8Array(n).fill(byte()) });
/** No jitter, within a thousandth. */
const STEADY = bytesOf(() => 128);

/** A loop of one second whose passes are `pass`, with the instants at which they started. */
function startLoop(pass: (call: CallContext) => Promise<void>, random = STEADY) {
  const clock = createFakeClock();
  const log = createRecordingLog();
  const stop = new AbortController();
  const startedMs: number[] = [];
  const loop = {
    name: "test",
    fields: { backend: "orders-db" },
    attributes: {},
    traced: true,
    isVital: false,
    intervalMs: 1000,
    pass: (call: CallContext) => {
      startedMs.push(clock.monotonicMs());
      return pass(call);
    },
  };
  const ended = runEvery(loop, { clock, random, log, tracer: untraced }, stop.signal);
  const gaps = (): readonly number[] =>
    startedMs.slice(1).map((at, index) => Math.round(at - (startedMs[index] ?? 0)));
  return { clock, log, stop, startedMs, gaps, ended };
}

describe("a worker's loop", () => {
  it("goes on after a failed pass, sooner, logs the failure, and stops when told", async () => {
    let passes = 0;
    const { clock, log, stop, gaps, ended } = startLoop(() =>
      ++passes === 1 ? Promise.reject(new Error("first fails")) : Promise.resolve(),
    );
    await clock.advance(1600);
    expect(passes).toBe(3);
    expect(gaps()).toEqual([500, 1000]);
    expect(log.messages("error")).toEqual([expect.stringContaining("loop pass failed")]);
    stop.abort();
    await ended;
    expect(clock.sleepers).toBe(0);
    expect(passes).toBe(3);
  });

  it("passes at once, and then every interval within ten per cent", async () => {
    let byte = 0;
    const random = bytesOf(() => (byte += 40));
    const { clock, stop, startedMs, gaps, ended } = startLoop(() => Promise.resolve(), random);
    expect(startedMs).toEqual([0]);
    await clock.advance(4500);
    expect(gaps().length).toBeGreaterThanOrEqual(3);
    for (const gap of gaps()) {
      expect(gap).toBeGreaterThanOrEqual(900);
      expect(gap).toBeLessThanOrEqual(1100);
    }
    expect(new Set(gaps()).size).toBeGreaterThan(1);
    stop.abort();
    await ended;
  });

  it("counts its interval from start to start, and rests a tenth of it at least", async () => {
    let tookMs = 700;
    const { clock, stop, gaps, ended } = startLoop((call) => call.clock.sleep(tookMs));
    await clock.advance(2900);
    expect(gaps()).toEqual([1000, 1000]);
    tookMs = 1500;
    await clock.advance(3400);
    expect(gaps()).toEqual([1000, 1000, 1000, 1600, 1600]);
    stop.abort();
    await clock.advance(1500);
    await ended;
  });

  it("aborts a pass that takes too long, and waits no more for one that does not heed it", async () => {
    const calls: CallContext[] = [];
    const { clock, log, stop, ended } = startLoop((call) => {
      calls.push(call);
      return new Promise(() => undefined);
    });
    await clock.advance(59_999);
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([false]);
    await clock.advance(1001);
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    expect(log.messages("error")).toHaveLength(1);
    stop.abort();
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    await clock.advance(60_000);
    await ended;
  });
});
