import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import {
  instantMs,
  parseBackendId,
  parseId,
  type AlarmClock,
  type AlarmListener,
  type BackendId,
  type Clock,
  type LeaseId,
} from "@mayfly/spec";
import { createRecordingLog, type RecordingLog } from "../recording-log.ts";

/** One empty queue, with both ends of it. */
export interface QueueUnderTest {
  readonly clock: Clock;
  readonly alarmClock: AlarmClock;
  readonly listener: AlarmListener;
  /** Lets so much time pass: by moving it, or by waiting. */
  pass(ms: number): Promise<void>;
  /** How long after its time an alarm may ring here, in ms. */
  readonly latenessMs: number;
  /** The payloads of all that waits. */
  payloads(): Promise<readonly unknown[]>;
  /** How many failures of handlers were reported. */
  failuresReported(): number;
  close(): Promise<void>;
}

export interface QueueContractSubject {
  create(log: RecordingLog): Promise<QueueUnderTest>;
}

const ORDERS = parseBackendId("orders-db", "test");
const STOCK = parseBackendId("stock-db", "test");

function newLeaseId(): LeaseId {
  const hex = randomBytes(16).toString("hex");
  return parseId(
    "lease",
    `lease_${hex.slice(0, 12)}7${hex.slice(13, 16)}8${hex.slice(17)}`,
    "test",
  );
}

/** The obligations of `AlarmClock` and `AlarmListener` (`alarm-clock.ts` in @mayfly/spec). */
export function describeQueueContract(name: string, subject: QueueContractSubject): void {
  describe(`queue contract: ${name}`, () => {
    let open: QueueUnderTest | null = null;
    afterEach(async () => {
      await open?.close();
      open = null;
    });
    const create = async (): Promise<QueueUnderTest> => {
      open = await subject.create(createRecordingLog());
      return open;
    };
    /** Listens with a handler that records its calls, and answers the record. */
    const hearing = async (queue: QueueUnderTest): Promise<BackendId[]> => {
      const rings: BackendId[] = [];
      await queue.listener.listen(async (backendId) => {
        rings.push(backendId);
      });
      return rings;
    };
    const wakeIn = (queue: QueueUnderTest, ms: number, leaseId = newLeaseId(), generation = 0) =>
      queue.alarmClock.wakeAt({
        leaseId,
        backendId: ORDERS,
        at: instantMs(queue.clock.now() + ms),
        generation,
      });

    test("Q1 an alarm rings at its time and not before", async () => {
      const queue = await create();
      const rings = await hearing(queue);
      await wakeIn(queue, 1_500);
      await queue.pass(700);
      expect(rings).toEqual([]);
      await queue.pass(800 + queue.latenessMs);
      expect(rings).toEqual([ORDERS]);
    });

    test("Q1 an alarm whose time is past rings at once", async () => {
      const queue = await create();
      const rings = await hearing(queue);
      await wakeIn(queue, -5_000);
      await queue.pass(queue.latenessMs);
      expect(rings).toEqual([ORDERS]);
    });

    test("Q1 an alarm set twice is one alarm while it waits", async () => {
      const queue = await create();
      const leaseId = newLeaseId();
      await wakeIn(queue, 200, leaseId);
      await wakeIn(queue, 200, leaseId);
      expect(await queue.payloads()).toHaveLength(1);
    });

    test("Q1 what was due while nobody listened rings for whoever listens next", async () => {
      const queue = await create();
      await wakeIn(queue, 100);
      await queue.alarmClock.wakeNow([STOCK]);
      await queue.pass(300);
      const rings = await hearing(queue);
      await queue.pass(queue.latenessMs);
      expect(rings.toSorted()).toEqual([ORDERS, STOCK]);
    });

    test("Q2 an alarm of the next generation rings again, before and after the first rang", async () => {
      const queue = await create();
      const rings = await hearing(queue);
      const leaseId = newLeaseId();
      await wakeIn(queue, 0, leaseId, 0);
      await queue.pass(queue.latenessMs);
      expect(rings).toHaveLength(1);
      await wakeIn(queue, 0, leaseId, 1);
      await queue.pass(queue.latenessMs);
      expect(rings).toHaveLength(2);
      await wakeIn(queue, 100, leaseId, 2);
      await wakeIn(queue, 1_200, leaseId, 3);
      await queue.pass(1_200 + queue.latenessMs);
      expect(rings).toHaveLength(4);
    });

    test("Q3 calls after close reject, and closing twice is fine", async () => {
      const queue = await create();
      await wakeIn(queue, 60_000);
      await queue.alarmClock.close();
      await queue.alarmClock.close();
      await expect(wakeIn(queue, 0)).rejects.toBeInstanceOf(Error);
      await expect(queue.alarmClock.wakeNow([ORDERS])).rejects.toBeInstanceOf(Error);
    });

    test("Q4 a job carries lease and backend id and nothing else", async () => {
      const queue = await create();
      const leaseId = newLeaseId();
      await wakeIn(queue, 60_000, leaseId);
      expect(await queue.payloads()).toEqual([{ leaseId, backendId: ORDERS }]);
    });

    test("waking now wakes each backend named, once however often it is named", async () => {
      const queue = await create();
      for (let count = 0; count < 3; count++)
        await queue.alarmClock.wakeNow([ORDERS, STOCK, ORDERS]);
      await queue.alarmClock.wakeNow([]);
      const rings = await hearing(queue);
      await queue.pass(queue.latenessMs);
      expect(rings.toSorted()).toEqual([ORDERS, STOCK]);
    });

    test("many wake-ups during a pass make one more pass, not many and not none", async () => {
      const queue = await create();
      const gate = Promise.withResolvers<void>();
      let passes = 0;
      await queue.listener.listen(async () => {
        passes++;
        if (passes === 1) await gate.promise;
      });
      await queue.alarmClock.wakeNow([ORDERS]);
      await queue.pass(queue.latenessMs);
      expect(passes).toBe(1);
      for (let count = 0; count < 5; count++) await queue.alarmClock.wakeNow([ORDERS]);
      for (let count = 0; count < 5; count++) await wakeIn(queue, 0);
      await queue.pass(queue.latenessMs);
      expect(passes).toBe(1);
      gate.resolve();
      await queue.pass(queue.latenessMs);
      expect(passes).toBe(2);
    });

    test("a backend whose pass hangs delays no other", async () => {
      const queue = await create();
      const gate = Promise.withResolvers<void>();
      const rings: BackendId[] = [];
      await queue.listener.listen(async (backendId) => {
        rings.push(backendId);
        if (backendId === ORDERS) await gate.promise;
      });
      await queue.alarmClock.wakeNow([ORDERS]);
      await queue.pass(queue.latenessMs);
      await queue.alarmClock.wakeNow([STOCK]);
      await queue.pass(queue.latenessMs);
      expect(rings).toEqual([ORDERS, STOCK]);
      gate.resolve();
    });

    test("a handler that fails is reported, not retried, and called again the next time", async () => {
      const queue = await create();
      let calls = 0;
      await queue.listener.listen(async () => {
        calls++;
        if (calls === 1) throw new Error("the ledger is away");
      });
      await queue.alarmClock.wakeNow([ORDERS]);
      await queue.pass(queue.latenessMs * 2);
      expect(calls).toBe(1);
      expect(queue.failuresReported()).toBe(1);
      await queue.alarmClock.wakeNow([ORDERS]);
      await queue.pass(queue.latenessMs);
      expect(calls).toBe(2);
    });

    test("a closed listener hears nothing more", async () => {
      const queue = await create();
      expect(await queue.listener.hears()).toBe(false);
      const rings = await hearing(queue);
      expect(await queue.listener.hears()).toBe(true);
      await queue.listener.close();
      expect(await queue.listener.hears()).toBe(false);
      await queue.listener.close();
      await queue.alarmClock.wakeNow([ORDERS]);
      await queue.pass(queue.latenessMs);
      expect(rings).toEqual([]);
    });
  });
}
