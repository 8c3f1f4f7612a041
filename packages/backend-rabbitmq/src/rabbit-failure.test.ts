import { expect, test } from "vitest";
import { failures, RabbitFailure, unfinished } from "./rabbit-failure.ts";

test.each([
  ["no answer", new RabbitFailure("lost", "x"), true],
  ["no connection", new RabbitFailure("not_sent", "x"), true],
  ["429", new RabbitFailure("busy", "x", { status: 429 }), true],
  ["a refusal", new RabbitFailure("refused", "x", { status: 403 }), false],
])("%s: whether it says that the API fails", (_what, failure, fails) => {
  expect(failures.toBackendError(failure, "issue").upstreamFails).toBe(fails);
});

test("one lease that cannot be finished says nothing of the API", () => {
  expect(unfinished("revoke: its connections are not gone").upstreamFails).toBe(false);
});
