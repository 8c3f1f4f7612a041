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

test("output that a full disk did not take is a failure, and a reader that left is none", () => {
  const inShell = (line: string) =>
    spawnSync("sh", ["-c", `"$0" "$1" ${line}`, process.execPath, MAIN], {
      env: {},
      encoding: "utf8",
    });
  const full = inShell("--help > /dev/full");
  expect(full.stderr).toContain("could not be written (ENOSPC)");
  expect(full.status).toBe(3);
  const left = inShell("--help | true");
  expect([left.status, left.stderr]).toEqual([0, ""]);
});

test("the version and the help go to standard output and are no failure", () => {
  for (const flag of ["--version", "--help"]) {
    const ran = spawnSync(process.execPath, [MAIN, flag], { env: {}, encoding: "utf8" });
    expect(ran.status).toBe(0);
    expect(ran.stdout).not.toBe("");
    expect(ran.stderr).toBe("");
  }
});
