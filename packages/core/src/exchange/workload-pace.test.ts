import { describe, expect, test } from "vitest";
import { BrokerError } from "@mayfly/spec";
import { createFakeClock } from "@mayfly/testkit";
import { createWorkloadPace } from "./workload-pace.ts";

const BOT = "spiffe://acme.test/agent/bot";
const OTHER = "spiffe://acme.test/agent/other";

function refusalOf(begin: () => unknown): BrokerError | null {
  try {
    begin();
    return null;
  } catch (error) {
    if (BrokerError.is(error)) return error;
    throw error;
  }
}

describe("the pace of a workload", () => {
  test("lets as many be under way at once as there may be, and the next when one has ended", () => {
    const pace = createWorkloadPace(createFakeClock(), { perSecond: 0, atOnce: 2 });
    const first = pace.begin(BOT);
    pace.begin(BOT);
    expect(refusalOf(() => pace.begin(BOT))).toMatchObject({
      code: "rate_limited",
      retryAfterSeconds: 1,
    });
    expect(refusalOf(() => pace.begin(OTHER))).toBeNull();
    first();
    expect(refusalOf(() => pace.begin(BOT))).toBeNull();
  });
  test("lets a burst begin, then so many a second", async () => {
    const clock = createFakeClock();
    const pace = createWorkloadPace(clock, { perSecond: 2, atOnce: 100 });
    for (let turn = 0; turn < 10; turn++) pace.begin(BOT)();
    expect(refusalOf(() => pace.begin(BOT))?.code).toBe("rate_limited");
    expect(refusalOf(() => pace.begin(OTHER))).toBeNull();
    await clock.advance(500);
    pace.begin(BOT)();
    expect(refusalOf(() => pace.begin(BOT))?.retryAfterSeconds).toBe(1);
  });
  test("charges nothing for what it refuses", async () => {
    const clock = createFakeClock();
    const pace = createWorkloadPace(clock, { perSecond: 2, atOnce: 100 });
    for (let turn = 0; turn < 50; turn++) refusalOf(() => pace.begin(BOT));
    await clock.advance(5_000);
    for (let turn = 0; turn < 10; turn++) pace.begin(BOT)();
    expect(refusalOf(() => pace.begin(BOT))?.code).toBe("rate_limited");
  });
});
