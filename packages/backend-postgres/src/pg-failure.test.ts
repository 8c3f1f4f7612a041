import { describe, expect, it } from "vitest";
import { isConcurrentChange, PgFailure } from "./pg-failure.ts";

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
