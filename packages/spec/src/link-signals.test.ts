import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { linkSignals } from "./link-signals.ts";

test("it is aborted with the first of its sources, for its reason", () => {
  const [one, two] = [new AbortController(), new AbortController()];
  using linked = linkSignals(one.signal, two.signal);
  expect(linked.signal.aborted).toBe(false);
  two.abort(new Error("second"));
  one.abort(new Error("first"));
  expect(linked.signal.reason).toEqual(new Error("second"));
});

test("of a source that is aborted already it is aborted at once", () => {
  using linked = linkSignals(new AbortController().signal, AbortSignal.abort("before"));
  expect(linked.signal.reason).toBe("before");
});

test("what was disposed of follows no more, and its sources hold nothing of it", () => {
  const source = new AbortController();
  const linked = linkSignals(source.signal);
  linked[Symbol.dispose]();
  expect(getEventListeners(source.signal, "abort")).toHaveLength(0);
  source.abort();
  expect(linked.signal.aborted).toBe(false);
});
