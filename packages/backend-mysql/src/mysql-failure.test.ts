import { expect, test } from "vitest";
import { ERRNO, failures, MysqlFailure, MysqlNotTried, unfinished } from "./mysql-failure.ts";

test.each([
  ["no answer", new MysqlFailure("lost", "x"), true],
  ["no connection", new MysqlFailure("not_sent", "x"), true],
  ["too many connections", new MysqlFailure("refused", "x", ERRNO.tooManyConnections), true],
  ["a queue of our own that was full", new MysqlNotTried("too many wait"), false],
  ["a lock of one account", new MysqlFailure("refused", "x", ERRNO.lockWaitTimeout), false],
])("%s passes, and says whether the server fails", (_what, failure, fails) => {
  for (const error of [
    failures.toBackendError(failure, "issue"),
    failures.withEffect(failure, "issue", "unknown"),
  ]) {
    expect([error.retry.kind, error.upstreamFails]).toEqual(["after", fails]);
  }
});

test("one lease that cannot be finished says nothing of the server", () => {
  expect(unfinished("revoke: sessions of the lease do not end").upstreamFails).toBe(false);
});
