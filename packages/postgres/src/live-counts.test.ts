import { describe, expect, it } from "vitest";
import { createFakeClock } from "@mayfly/testkit";
import { LiveCounts, roleCount, workloadCount } from "./live-counts.ts";

const ROLE = roleCount("orders-db/reader");

describe("the live leases of a role or a workload", () => {
  it("are counted for a second, with what was granted since", async () => {
    const clock = createFakeClock();
    const counts = new LiveCounts(clock);
    expect(counts.read(ROLE, 1000)).toBeNull();
    counts.note(ROLE, 40);
    counts.granted(ROLE, 2);
    counts.granted(ROLE, 1);
    await clock.advance(999);
    expect(counts.read(ROLE, 1000)).toBe(43);
    await clock.advance(1);
    expect(counts.read(ROLE, 1000)).toBeNull();
  });

  it("are counted anew in each batch near the limit, which is never passed by an old count", () => {
    const counts = new LiveCounts(createFakeClock());
    counts.note(ROLE, 89);
    expect(counts.read(ROLE, 100)).toBe(89);
    counts.granted(ROLE, 1);
    expect(counts.read(ROLE, 100)).toBeNull();
  });

  it("of one role say nothing of another, and granting what was never counted is no count", () => {
    const counts = new LiveCounts(createFakeClock());
    counts.granted(ROLE, 5);
    expect(counts.read(ROLE, 100)).toBeNull();
    counts.note(ROLE, 0);
    expect(counts.read(roleCount("orders-db/writer"), 100)).toBeNull();
    expect(counts.read(workloadCount("orders-db/reader"), 100)).toBeNull();
  });

  it("are counted anew before a count is too old, once, and what was granted meanwhile is added", async () => {
    const clock = createFakeClock();
    const counts = new LiveCounts(clock);
    expect(counts.ahead(ROLE)).toBeNull();
    counts.note(ROLE, 40);
    counts.granted(ROLE, 2);
    await clock.advance(749);
    expect(counts.ahead(ROLE)).toBeNull();
    await clock.advance(1);
    const counted = counts.ahead(ROLE);
    expect(counts.ahead(ROLE)).toBeNull();
    counts.granted(ROLE, 3);
    await clock.advance(100);
    counted?.(30);
    expect(counts.read(ROLE, 1000)).toBe(33);
    await clock.advance(899);
    expect(counts.read(ROLE, 1000)).toBe(33);
    // Its age is that of when it was begun.
    await clock.advance(1);
    expect(counts.read(ROLE, 1000)).toBeNull();
  });

  it("are as a batch has counted them, where it did so while they were counted beside it", async () => {
    const clock = createFakeClock();
    const counts = new LiveCounts(clock);
    counts.note(ROLE, 40);
    await clock.advance(800);
    const counted = counts.ahead(ROLE);
    await clock.advance(300);
    expect(counts.ahead(ROLE)).toBeNull();
    counts.note(ROLE, 60);
    counted?.(50);
    expect(counts.read(ROLE, 1000)).toBe(60);
  });
});
