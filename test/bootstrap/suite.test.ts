import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { withoutNpm } from "../../bootstrap/environment.mjs";
import { countOf, formatCount } from "../../bootstrap/suite.mjs";
import { ROOT, run } from "../tidy/repository.ts";

const PASSING = `test("passes", () => { expect(1).toBe(1); });`;
const FAILING = `test("fails", () => { expect(1).toBe(2); });`;

/** Runs the real suite runner over a folder with one test file: its exit code and lines. */
async function runWith(file: string): Promise<{ code: number; lines: readonly string[] }> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-suite-"));
  try {
    await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
    await writeFile(join(folder, "vitest.config.mjs"), "export default {};\n");
    const head = `import { expect, test } from "vitest";\n`;
    await writeFile(join(folder, "a.test.mjs"), `${head}${file}\n`);
    const script = `
      import { runSuite } from ${JSON.stringify(join(ROOT, "bootstrap/suite.mjs"))};
      process.exitCode = await runSuite({
        root: ${JSON.stringify(folder)}, node: process.execPath, env: process.env, args: [],
      });`;
    const args = ["--input-type=module", "--eval", script];
    const { code, output } = await run(process.execPath, args, { cwd: folder });
    return { code, lines: output.trimEnd().split("\n") };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runOver(file: string): Promise<{ code: number; last: string | undefined }> {
  const { code, lines } = await runWith(file);
  return { code, last: lines.at(-1) };
}

describe("the last line of npm test", () => {
  test("counts what passed, failed and was skipped, and the exit code follows", async () => {
    expect(await runOver(PASSING)).toEqual({ code: 0, last: "1 passed, 0 failed" });
    expect(await runOver(`${PASSING}\n${FAILING}`)).toEqual({
      code: 1,
      last: "1 passed, 1 failed",
    });
    expect(await runOver(`${PASSING}\ntest.skipIf(true)("is skipped", () => {});`)).toEqual({
      code: 0,
      last: "1 passed, 0 failed, 1 skipped",
    });
  });

  test("is below the names of those that passed at their second try alone", async () => {
    const { code, lines } = await runWith(`let tries = 0;
      test("is late once", { retry: 1 }, () => { tries += 1; expect(tries).toBe(2); });
      ${PASSING}`);
    expect(code).toBe(0);
    expect(lines.slice(-2)).toEqual([
      "  ! passed at its second try: is late once",
      "2 passed, 0 failed",
    ]);
    const twice = FAILING.replace(", ()", ", { retry: 1 }, ()");
    expect(await runOver(twice)).toEqual({ code: 1, last: "0 passed, 1 failed" });
  });

  test("is a failure when a file cannot be loaded, or a rejection was nobody's", async () => {
    expect(await runOver(`${PASSING}\nthrow new Error("while loading");`)).toEqual({
      code: 1,
      last: "0 passed, 1 failed",
    });
    expect(
      await runOver(`test("passes", async () => {
        void Promise.reject(new Error("nobody's"));
        await new Promise((resolve) => setTimeout(resolve, 50));
        expect(1).toBe(1);
      });`),
    ).toEqual({ code: 1, last: "1 passed, 1 failed" });
  });

  test("is a failure when no test ran", async () => {
    expect(await runOver("")).toEqual({ code: 1, last: "0 passed, 1 failed" });
    expect(await runOver(`test.skipIf(true)("is skipped", () => {});`)).toEqual({
      code: 1,
      last: "0 passed, 1 failed, 1 skipped",
    });
    expect(countOf(undefined, 1)).toMatchObject({ passed: 0, failed: 1 });
    expect(formatCount({ passed: 2, failed: 0, skipped: 0, notes: [], again: [] })).toBe(
      "2 passed, 0 failed",
    );
  });
});

test("a nested install inherits of npm's variables only the way to the registry", () => {
  const env = {
    PATH: "p",
    npm_lifecycle_event: "test",
    npm_config_prefix: "x",
    NPM_CONFIG_REGISTRY: "r",
    npm_config_https_proxy: "s",
    "npm_config_//registry.example/:_authToken": "t",
  };
  expect(Object.keys(withoutNpm(env))).toEqual([
    "PATH",
    "NPM_CONFIG_REGISTRY",
    "npm_config_https_proxy",
    "npm_config_//registry.example/:_authToken",
  ]);
});
