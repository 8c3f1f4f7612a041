import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const ESCAPE = String.fromCodePoint(27);

test("without a terminal nothing is coloured, and a usage error ends with 2", () => {
  const ran = spawnSync(process.execPath, [MAIN, "lease", "lst"], { env: {}, encoding: "utf8" });
  expect(ran.status).toBe(2);
  expect(ran.stdout).toBe("");
  expect(ran.stderr).toContain("error");
  expect(ran.stderr).not.toContain(ESCAPE);
});

test("the version and the help go to standard output and are no failure", () => {
  for (const flag of ["--version", "--help"]) {
    const ran = spawnSync(process.execPath, [MAIN, flag], { env: {}, encoding: "utf8" });
    expect(ran.status).toBe(0);
    expect(ran.stdout).not.toBe("");
    expect(ran.stderr).toBe("");
  }
});
