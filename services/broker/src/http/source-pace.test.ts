import { describe, expect, it } from "vitest";
import { createFakeClock, createRecordingLog } from "@mayfly/testkit";
import { createSourcePace, sourceOf } from "./source-pace.ts";

const HERE = "192.0.2.7";
const THERE = "192.0.2.8";

function paced(failuresPerSecond = 2) {
  const clock = createFakeClock();
  const log = createRecordingLog();
  const pace = createSourcePace({ failuresAtOnce: 10, failuresPerSecond }, { clock, log });
  const fail = (times: number, address: string | null = HERE): void => {
    for (let turn = 0; turn < times; turn++) pace.failed(address);
  };
  return { clock, log, pace, fail };
}

describe("the pace of a source", () => {
  it("is not there until so many proofs in a row were refused", () => {
    const { pace, fail } = paced();
    fail(9);
    expect(pace.refuses(HERE)).toBe(false);
    fail(1);
    expect(pace.refuses(HERE)).toBe(true);
  });
  it("is of one source, and no other's", () => {
    const { pace, fail } = paced();
    fail(10);
    expect(pace.refuses(THERE)).toBe(false);
  });
  it("ends as time passes, and does not grow with what it refuses", async () => {
    const { clock, pace, fail } = paced();
    fail(500);
    expect(pace.refuses(HERE)).toBe(true);
    await clock.advance(500);
    expect(pace.refuses(HERE)).toBe(false);
    fail(1);
    expect(pace.refuses(HERE)).toBe(true);
    await clock.advance(60_000);
    fail(9);
    expect(pace.refuses(HERE)).toBe(false);
  });
  it("is nobody's where there is no address, or none is wanted", () => {
    const without = paced();
    without.fail(500, null);
    expect(without.pace.refuses(null)).toBe(false);
    const off = paced(0);
    off.fail(500);
    expect(off.pace.refuses(HERE)).toBe(false);
  });
  it("is told of once a minute, however many sources there are", () => {
    const { log, fail } = paced();
    for (let n = 0; n < 50; n++) fail(10, `192.0.2.${n}`);
    expect(log.messages()).toHaveLength(1);
  });
  it("is of refused proofs and of malformed requests, each for itself", async () => {
    const { clock, pace, fail } = paced();
    fail(9);
    for (let turn = 0; turn < 9; turn++) pace.malformed(HERE);
    expect(pace.refuses(HERE)).toBe(false);
    pace.malformed(HERE);
    expect(pace.refuses(HERE)).toBe(true);
    expect(pace.refuses(THERE)).toBe(false);
    await clock.advance(500);
    expect(pace.refuses(HERE)).toBe(false);
    fail(1);
    expect(pace.refuses(HERE)).toBe(false);
  });
  it.each(["failed", "malformed"] as const)(
    "keeps so many sources and no more, of however many: %s",
    (how) => {
      const settings = { failuresAtOnce: 1, failuresPerSecond: 1, sourcesMax: 1000 };
      const ports = { clock: createFakeClock(), log: createRecordingLog() };
      const pace = createSourcePace(settings, ports);
      const sources = Array.from({ length: 5000 }, (_, n) => `2001:db8:${n.toString(16)}::1`);
      for (const source of sources) pace[how](source);
      // Those that it was told of last: each was told of once, and may do nothing more.
      expect(sources.filter((source) => pace.refuses(source))).toEqual(sources.slice(-1000));
      expect(pace.refuses(`2001:db8:${(4999).toString(16)}:0:9::9`)).toBe(true);
    },
  );
  it("forgets the oldest of more sources than it keeps", () => {
    const { pace, fail } = paced();
    fail(10);
    for (let n = 0; n < 100_000; n++) pace.failed(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
    expect(pace.refuses(HERE)).toBe(false);
  });
});

describe("a source", () => {
  it("is an IPv4 address, or the /64 of an IPv6 one, however it is written", () => {
    expect(sourceOf("192.0.2.7")).toBe("192.0.2.7");
    const one = "2001:db8:0:5::/64";
    for (const address of ["2001:db8:0:5::1", "2001:db8:0:5:6:7:8:9", "2001:0db8:0000:0005::"]) {
      expect(sourceOf(address)).toBe(one);
    }
    expect(sourceOf("2001:db8::6:7:8:9")).toBe("2001:db8:0:0::/64");
    expect(sourceOf("::1")).toBe("0:0:0:0::/64");
    expect(sourceOf("2001:db8:0:6::1")).not.toBe(one);
  });
});
