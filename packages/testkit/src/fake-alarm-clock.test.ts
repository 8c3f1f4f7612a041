import { describe, expect, test } from "vitest";
import { instantMs, parseBackendId, parseId, type BackendId } from "@mayfly/spec";
import { describeQueueContract } from "./contract/queue-contract.ts";
import { createFakeAlarmClock } from "./fake-alarm-clock.ts";
import { createFakeClock } from "./fake-clock.ts";

describeQueueContract("fake", {
  create: async () => {
    const clock = createFakeClock();
    const queue = createFakeAlarmClock(clock);
    return {
      clock,
      alarmClock: queue,
      listener: queue.listener,
      latenessMs: 0,
      pass: (ms) => clock.advance(ms),
      payloads: async () => queue.pending.map(({ leaseId, backendId }) => ({ leaseId, backendId })),
      failuresReported: () => queue.handlerErrors.length,
      close: () => queue.close(),
    };
  },
});

describe("the fake fails as it is told", () => {
  const backendId = parseBackendId("orders-db", "test");
  const leaseId = parseId("lease", `lease_0199aabbccdd7eee8${"0".repeat(15)}`, "test");
  const start = async () => {
    const clock = createFakeClock();
    const queue = createFakeAlarmClock(clock);
    const rings: BackendId[] = [];
    await queue.listener.listen(async (id) => {
      rings.push(id);
    });
    const wakeIn = (ms: number) =>
      queue.wakeAt({ leaseId, backendId, at: instantMs(clock.now() + ms), generation: 0 });
    return { clock, queue, rings, wakeIn };
  };

  test("loses what waits", async () => {
    const { clock, queue, rings, wakeIn } = await start();
    await wakeIn(10);
    queue.loseAll();
    await clock.advance(20);
    expect(rings).toEqual([]);
    await wakeIn(10);
    await clock.advance(10);
    expect(rings).toEqual([backendId]);
  });

  test("loses each ring, or repeats it", async () => {
    const { clock, queue, rings, wakeIn } = await start();
    queue.ringTimes(0);
    await wakeIn(10);
    await clock.advance(10);
    expect(rings).toEqual([]);
    queue.ringTimes(2);
    await wakeIn(10);
    await clock.advance(10);
    expect(rings).toEqual([backendId, backendId]);
  });

  test("delays", async () => {
    const { clock, queue, rings, wakeIn } = await start();
    queue.delayBy(500);
    await wakeIn(10);
    await clock.advance(509);
    expect(rings).toEqual([]);
    await clock.advance(1);
    expect(rings).toEqual([backendId]);
  });

  test("rejects until healed", async () => {
    const { queue, wakeIn } = await start();
    queue.failWith(new Error("away"));
    await expect(wakeIn(10)).rejects.toThrow("away");
    await expect(queue.wakeNow([backendId])).rejects.toThrow("away");
    queue.failWith(null);
    await wakeIn(10);
    expect(queue.pending).toHaveLength(1);
  });
});
