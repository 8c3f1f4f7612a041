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
});
