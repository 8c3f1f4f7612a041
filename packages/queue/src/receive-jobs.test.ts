import { expect, test } from "vitest";
import { parseBackendId, type BackendId } from "@mayfly/spec";
import { createFakeClock, createRecordingLog } from "@mayfly/testkit";
import { coalescePasses } from "./coalesced-passes.ts";
import { receiveJobs } from "./receive-jobs.ts";

const ORDERS = parseBackendId("orders-db", "test");
const STOCK = parseBackendId("stock-db", "test");

/** A listener of which the pass of `orders-db` goes on for ever, as in a storm. */
function listen(due?: () => Promise<readonly BackendId[]>) {
  const clock = createFakeClock();
  const log = createRecordingLog();
  const fail = (error: unknown): void => log.error("a job failed", {}, error);
  const woken: BackendId[] = [];
  let done = 0;
  const passes = coalescePasses(
    (backendId) => {
      woken.push(backendId);
      return backendId === ORDERS ? new Promise<void>(() => undefined) : Promise.resolve();
    },
    { clock, log, passTimeoutMs: 300_000 },
  );
  const onJob = receiveJobs(passes, { clock, log }, due);
  const ring = (backendId: BackendId): void => {
    const data = { leaseId: null, backendId };
    const job = { data, removeDeduplicationKey: () => Promise.resolve(true) };
    onJob(job).then(() => done++, fail);
  };
  return { clock, log, woken, ring, done: () => done };
}

test("an end that is due is woken while its alarm stands behind a crowd of another's", async () => {
  let asked = 0;
  const { clock, woken, ring } = listen(() => {
    asked++;
    return Promise.resolve([ORDERS, STOCK]);
  });
  for (let alarm = 0; alarm < 19; alarm++) ring(ORDERS);
  await clock.advance(1);
  expect({ asked, woken }).toEqual({ asked: 0, woken: [ORDERS] });
  // None of these is the other's.
  for (let alarm = 0; alarm < 200; alarm++) ring(ORDERS);
  await clock.advance(1);
  expect({ asked, woken }).toEqual({ asked: 1, woken: [ORDERS, STOCK] });
  await clock.advance(250);
  for (let alarm = 0; alarm < 200; alarm++) ring(ORDERS);
  await clock.advance(1);
  expect({ asked, woken }).toEqual({ asked: 2, woken: [ORDERS, STOCK, STOCK] });
});

test("a ledger that does not say whose ends are due is asked again, and alarms go on", async () => {
  let asked = 0;
  const { clock, log, woken, ring } = listen(() => {
    asked++;
    return Promise.reject(new Error("the ledger is away"));
  });
  for (let round = 0; round < 2; round++) {
    for (let alarm = 0; alarm < 30; alarm++) ring(ORDERS);
    await clock.advance(300);
  }
  ring(STOCK);
  await clock.advance(1);
  expect({ asked, woken }).toEqual({ asked: 2, woken: [ORDERS, STOCK] });
  expect(log.messages("warn")).toHaveLength(1);
});

test("a storm's alarms keep their places while its pass goes on, for half a minute at most", async () => {
  const { clock, done, ring } = listen(() => Promise.resolve([ORDERS]));
  ring(ORDERS);
  await clock.advance(1);
  for (let alarm = 0; alarm < 30; alarm++) ring(ORDERS);
  await clock.advance(1);
  // The first is the pass itself, which goes on; 18 came before it was a crowd.
  expect(done()).toBe(18);
  await clock.advance(250);
  expect(done()).toBe(30);
  // Somebody else's is not held.
  ring(STOCK);
  await clock.advance(1);
  expect(done()).toBe(31);
  for (let span = 0; span < 130; span++) {
    for (let alarm = 0; alarm < 20; alarm++) ring(ORDERS);
    await clock.advance(250);
  }
  const before = done();
  for (let alarm = 0; alarm < 20; alarm++) ring(ORDERS);
  await clock.advance(1);
  expect(done() - before).toBe(20);
});
