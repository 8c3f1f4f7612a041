import { describe, expect, it } from "vitest";
import { instantMs, type Clock, type Log } from "@mayfly/spec";
import { runEvery } from "./every.ts";

/** A clock whose sleeps end at once and are counted; the test stops the loop. */
function instantClock(onSleep: (ms: number) => void): Clock {
  return {
    now: () => instantMs(0),
    monotonicMs: () => 0,
    sleep: (ms, signal) => {
      onSleep(ms);
      return signal?.aborted === true ? Promise.reject(new Error("aborted")) : Promise.resolve();
    },
  };
}

const recorded = (lines: string[]): Log => {
  const log: Log = {
    debug: (message) => lines.push(message),
    info: (message) => lines.push(message),
    warn: (message) => lines.push(message),
    error: (message) => lines.push(message),
    child: () => log,
  };
  return log;
};

describe("a worker's loop", () => {
  it("goes on after a failed pass, logs the failure, and stops when told", async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    let passes = 0;
    await runEvery(
      {
        name: "test",
        intervalMs: 1000,
        pass: () => {
          passes += 1;
          if (passes === 3) stop.abort();
          return passes === 1 ? Promise.reject(new Error("first fails")) : Promise.resolve();
        },
      },
      {
        clock: instantClock(() => undefined),
        random: { bytes: (n) => new Uint8Array(n).fill(128) },
        log: recorded(lines),
      },
      stop.signal,
    );
    expect(passes).toBe(3);
    expect(lines).toEqual(["loop pass failed"]);
  });
  it("waits the interval within ten per cent", async () => {
    const stop = new AbortController();
    const waits: number[] = [];
    let byte = 0;
    await runEvery(
      { name: "test", intervalMs: 1000, pass: () => Promise.resolve() },
      {
        clock: instantClock((ms) => {
          waits.push(ms);
          if (waits.length === 3) stop.abort();
        }),
        random: { bytes: (n) => new Uint8Array(n).fill((byte += 40)) },
        log: recorded([]),
      },
      stop.signal,
    );
    expect(waits).toHaveLength(3);
    for (const wait of waits) {
      expect(wait).toBeGreaterThanOrEqual(900);
      expect(wait).toBeLessThanOrEqual(1100);
    }
  });
});
