import { expect, test } from "vitest";
import { failures, RedisFailure, refusalOf, unfinished } from "./redis-failure.ts";

test.each([
  ["no answer", new RedisFailure("lost", "node", "x"), true],
  ["no connection", new RedisFailure("not_sent", "node", "x"), true],
  ["a server that loads", refusalOf("node", "LOADING Redis is loading"), true],
  ["a slot that moves", refusalOf("node", "TRYAGAIN Multiple keys"), false],
  ["a lack of rights", refusalOf("node", "NOPERM x"), false],
])("%s: whether it says that the server fails", (_what, failure, fails) => {
  expect(failures.toBackendError(failure, "issue").upstreamFails).toBe(fails);
});

test("one lease that cannot be finished says nothing of the server", () => {
  expect(unfinished("revoke: the user has connections still").upstreamFails).toBe(false);
});
