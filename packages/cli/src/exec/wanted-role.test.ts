import { expect, test } from "vitest";
import { childEnvironment } from "./child-environment.ts";
import { wantedRoles } from "./wanted-role.ts";

test.each([
  [["a-db/reader"], [""]],
  [["a-db/reader=A"], ["A"]],
  [
    ["a-db/reader", "b.db/writer"],
    ["A_DB_READER", "B_DB_WRITER"],
  ],
  [
    ["a-db/reader=", "b-db/writer"],
    ["", "B_DB_WRITER"],
  ],
])("%j has the prefixes %j", (given, prefixes) => {
  expect(wantedRoles(given).map(({ prefix }) => prefix)).toEqual(prefixes);
});

test.each([
  [["a-db/reader", "a-db/reader"], "named twice"],
  [["a-db/reader=X", "a-db/writer=X"], "same variables"],
  [["a-db/reader=", "a-db/writer="], "same variables"],
  [["a-db/reader", "a/db-reader"], "same variables"],
  [["a-db/reader=LD_PRELOAD=x"], "cannot begin"],
  [["a-db/reader=lower"], "cannot begin"],
])("%j is refused: %s", (given, why) => {
  expect(() => wantedRoles(given)).toThrow(why);
});

test("a command gets neither our settings nor what proves who we are, and no stronger variable", () => {
  const ours = {
    PATH: "/bin",
    MAYFLY_ADMIN_TOKEN: "secret",
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "secret",
    PGSERVICE: "other",
    PGPASSWORD: "old",
  };
  expect(childEnvironment(ours, { PGHOST: "db", PGPASSWORD: "new" })).toEqual({
    PATH: "/bin",
    PGHOST: "db",
    PGPASSWORD: "new",
  });
  // With a prefix the parent's own login stays whole.
  expect(childEnvironment(ours, { X_PGHOST: "db" })).toEqual({
    PATH: "/bin",
    PGSERVICE: "other",
    PGPASSWORD: "old",
    X_PGHOST: "db",
  });
});
