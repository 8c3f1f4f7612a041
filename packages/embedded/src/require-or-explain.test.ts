import { expect, test } from "vitest";
import { clientRuntime } from "./client-runtime.ts";
import { EmbeddedError } from "./embedded-error.ts";
import {
  postgresVersionsToTest,
  requireOrExplain,
  type TestSurroundings,
} from "./require-or-explain.ts";

function around(env: Record<string, string>): TestSurroundings & { said: string[] } {
  const said: string[] = [];
  return { env, said, say: (line) => said.push(line) };
}

test("a server that is not installed is explained once", async () => {
  const bare = around({ PATH: "/nowhere" });
  expect(await requireOrExplain("redis", bare)).toBeUndefined();
  expect(await requireOrExplain("redis", bare)).toBeUndefined();
  expect(bare.said).toEqual(["redis-server is not installed: tests that need it were not run"]);
});

test("a server that is not installed is an error when TEST_REQUIRE names it", async () => {
  const bare = around({ PATH: "/nowhere", TEST_REQUIRE: "postgres, redis" });
  await expect(requireOrExplain("redis", bare)).rejects.toThrow(/Install redis-server/);
  expect(bare.said).toEqual([]);
});

test("a Python too old or without venv counts as none, and is named", async () => {
  const bare = around({ PATH: "/nowhere" });
  expect(await requireOrExplain("python", bare)).toBeUndefined();
  expect(bare.said).toEqual([
    "python3 (3.10 or newer, with venv) is not installed: tests that need it were not run",
  ]);
  const required = around({ PATH: "/nowhere", TEST_REQUIRE: "python" });
  await expect(requireOrExplain("python", required)).rejects.toThrow(/Install python3/);
});

test("a runtime of the SDK that is absent names the command that installs it", async () => {
  expect(await clientRuntime("deno", "/nowhere")).toBeUndefined();
  const required = around({ TEST_REQUIRE: "deno" });
  if ((await clientRuntime("deno")) !== undefined) {
    expect(await requireOrExplain("deno", required)).toMatch(/deno$/);
  } else {
    const refusal = /pnpm --dir infra\/client-runtimes install/;
    await expect(requireOrExplain("deno", required)).rejects.toThrow(refusal);
  }
});

test("a TEST_REQUIRE with a server that nobody knows is an error, not ignored", async () => {
  const misspelt = around({ TEST_REQUIRE: "postgers" });
  await expect(requireOrExplain("postgres", misspelt)).rejects.toThrow(/"postgers" is not known/);
});

test("PostgreSQL is there, since it comes with the dependencies", async () => {
  const bare = around({});
  expect(await requireOrExplain("postgres", bare)).toMatch(/\/bin\/postgres$/);
  expect(bare.said).toEqual([]);
});

test("TEST_PG_VERSIONS chooses the versions; without it the default is tested", () => {
  expect(postgresVersionsToTest({})).toEqual([18]);
  expect(postgresVersionsToTest({ TEST_PG_VERSIONS: "17, 15" })).toEqual([15, 17]);
  expect(() => postgresVersionsToTest({ TEST_PG_VERSIONS: "14" })).toThrow(EmbeddedError);
});
