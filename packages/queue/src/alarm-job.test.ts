import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { instantMs, parseBackendId, parseId } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { jobOfAlarm, jobOfWakeNow, parsePayload } from "./alarm-job.ts";

const leaseId = parseId("lease", `lease_0199aabbccdd7eee8${"0".repeat(15)}`, "test");
const backendId = parseBackendId("orders-db", "test");
const clock = createFakeClock();
const alarm = { leaseId, backendId, at: instantMs(clock.now() + 1_500), generation: 2 };

test("an alarm's job is named by lease and generation, which BullMQ accepts", () => {
  const job = jobOfAlarm(alarm, clock);
  expect(job).toMatchObject({ id: `${leaseId}-2`, delayMs: 1_500, onceWhileWaiting: null });
  for (const { id } of [job, jobOfWakeNow(backendId, "00ff")]) {
    expect(id).not.toMatch(/:|^\d+$/);
  }
});

test("an alarm of the past is due now", () => {
  expect(jobOfAlarm({ ...alarm, at: instantMs(clock.now() - 9) }, clock).delayMs).toBe(0);
});

test.each([
  { at: instantMs(Number.NaN) },
  { at: instantMs(Number.POSITIVE_INFINITY) },
  { at: instantMs(clock.now() + 400 * 86_400_000) },
  { generation: -1 },
  { generation: 0.5 },
])("an impossible alarm is a defect: %o", (wrong) => {
  expect(() => jobOfAlarm({ ...alarm, ...wrong }, clock)).toThrow(/an alarm/);
});

describe("a payload is parsed strictly", () => {
  test("what we put in comes out", () => {
    for (const job of [jobOfAlarm(alarm, clock), jobOfWakeNow(backendId, "00ff")]) {
      expect(parsePayload(JSON.parse(JSON.stringify(job.payload)))).toEqual(job.payload);
    }
  });

  test.each([
    null,
    [],
    "orders-db",
    {},
    { backendId },
    { leaseId },
    { leaseId: null, backendId: "Orders DB" },
    { leaseId: "lease_1", backendId },
    { leaseId, backendId, sql: "DROP ROLE" },
  ])("and nothing else: %o", (input) => {
    expect(() => parsePayload(input)).toThrow(/^job/);
  });

  test("any other JSON ends in an error of ours", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (input) => {
        expect(() => parsePayload(input)).toThrow(/^job/);
      }),
    );
  });
});
