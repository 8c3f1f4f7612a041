import { expect, test } from "vitest";
import { isInstalled } from "./is-installed.ts";

test("PostgreSQL is installed: it comes with the packages", async () => {
  expect(await isInstalled("postgres", {})).toBe(true);
});

test("a server on no path is not installed, and fails when TEST_REQUIRE names it", async () => {
  expect(await isInstalled("redis", { PATH: "" })).toBe(false);
  await expect(isInstalled("redis", { PATH: "", TEST_REQUIRE: "postgres,redis" })).rejects.toThrow(
    /redis/,
  );
});
