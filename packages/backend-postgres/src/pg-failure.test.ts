import { describe, expect, it } from "vitest";
import { failures, isConcurrentChange, PgFailure, PgNotTried, unfinished } from "./pg-failure.ts";

describe("a concurrent change of the catalog", () => {
  it.each([
    ["two updates of one row", "tuple concurrently updated", "XX000"],
    ["a role that was dropped meanwhile", "could not find tuple for role 16511", "XX000"],
    ["the same in the server's own language", "Tupel wurde gleichzeitig aktualisiert", "XX000"],
    ["a deadlock", "deadlock detected", "40P01"],
  ])("is seen in %s, and worth another try", (_what, message, sqlstate) => {
    expect(isConcurrentChange(new PgFailure("refused", message, sqlstate))).toBe(true);
  });
  it.each([
    ["a refusal for lack of rights", "refused", "42501"],
    ["a connection that was lost", "lost", "XX000"],
  ] as const)("is not seen in %s", (_what, kind, sqlstate) => {
    expect(isConcurrentChange(new PgFailure(kind, "x", sqlstate))).toBe(false);
  });
});

describe("what a failure says of the server", () => {
  it.each([
    ["no answer", new PgFailure("lost", "x"), true],
    ["no connection", new PgFailure("not_sent", "x"), true],
    ["too many connections", new PgFailure("refused", "x", "53300"), true],
    ["a shutdown", new PgFailure("refused", "x", "57P01"), true],
    ["a queue of our own that was full", new PgNotTried("too many wait"), false],
    ["a deadline that was over", new PgFailure("refused", "x", "MF001"), false],
    ["a lock of one role", new PgFailure("refused", "x", "55P03"), false],
  ])("is told of %s", (_what, failure, fails) => {
    const error = failures.toBackendError(failure, "issue");
    expect([error.retry.kind, error.upstreamFails]).toEqual(["after", fails]);
  });
  it("is nothing where one lease cannot be finished", () => {
    expect(unfinished("revoke: sessions do not end").upstreamFails).toBe(false);
  });
});
