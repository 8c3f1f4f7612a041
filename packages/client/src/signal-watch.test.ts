import { expect, test } from "vitest";
import { cancelOnSignals } from "./signal-watch.ts";
import type { ProcessSignals, SignalName } from "./surroundings.ts";
import { testSurroundings } from "./testing/test-surroundings.ts";

/** A process whose signals a test sends; what would have ended it is kept. */
function fakeProcess(others = 0) {
  const listeners = new Map<SignalName, Set<() => void>>();
  const raised: SignalName[] = [];
  const signals: ProcessSignals = {
    on: (name, handler) => {
      const all = listeners.get(name) ?? new Set();
      listeners.set(name, all.add(handler));
      return () => all.delete(handler);
    },
    others: () => others,
    raise: (name) => raised.push(name),
  };
  const count = (): number => [...listeners.values()].reduce((sum, { size }) => sum + size, 0);
  const send = (name: SignalName): void => listeners.get(name)?.forEach((handler) => handler());
  return { around: testSurroundings({}, { signals }), raised, count, send };
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("every open task is cancelled before the signal does its work, also when one end fails", async () => {
  const { around, raised, send, count } = fakeProcess();
  const cancelled: string[] = [];
  const gate = Promise.withResolvers<void>();
  cancelOnSignals(around, async (name) => {
    await gate.promise;
    cancelled.push(name);
  });
  cancelOnSignals(around, () => Promise.reject(new Error("the broker is away")));
  send("SIGTERM");
  await settle();
  expect(raised).toEqual([]);
  gate.resolve();
  await settle();
  expect([cancelled, raised, count()]).toEqual([["SIGTERM"], ["SIGTERM"], 0]);
});

test("a second signal waits for nothing", () => {
  const { around, raised, send } = fakeProcess();
  cancelOnSignals(around, () => new Promise(() => undefined));
  send("SIGINT");
  expect(raised).toEqual([]);
  send("SIGINT");
  expect(raised).toEqual(["SIGINT"]);
});

test("a program that listens itself decides for itself", async () => {
  const { around, raised, send } = fakeProcess(1);
  let cancels = 0;
  cancelOnSignals(around, async () => ++cancels);
  send("SIGTERM");
  await settle();
  expect([cancels, raised]).toEqual([1, []]);
});

test("while no task is open nothing listens", () => {
  const { around, count } = fakeProcess();
  const first = cancelOnSignals(around, async () => undefined);
  const second = cancelOnSignals(around, async () => undefined);
  expect(count()).toBe(3);
  first();
  expect(count()).toBe(3);
  second();
  expect(count()).toBe(0);
});
