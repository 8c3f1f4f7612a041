import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "./repository.ts";

const run = promisify(execFile);
const MAX = { maxBuffer: 16_777_216 };
const CONFIG = `export default { test: { include: ["packages/*/src/**/*.test.ts"],
  testTimeout: 60_000, hookTimeout: 60_000 } };\n`;

/** A workspace of its own, so that the package stands in nobody's way. */
let workspace: string;
beforeAll(async () => {
  workspace = await realpath(await mkdtemp(join(tmpdir(), "mayfly-kit-")));
  await mkdir(join(workspace, "packages"));
  for (const shared of ["node_modules", "tsconfig.base.json"]) {
    await symlink(join(ROOT, shared), join(workspace, shared));
  }
  await symlink(join(ROOT, "packages/backend-kit"), join(workspace, "packages/backend-kit"));
  await writeFile(join(workspace, "vitest.config.mjs"), CONFIG);
  const command = join(ROOT, "packages/cli/src/main.ts");
  await run(process.execPath, [command, "backend", "new", "billing"], { cwd: workspace, ...MAX });
  const modules = join(workspace, "packages/backend-billing/node_modules");
  await mkdir(join(modules, "@mayfly"), { recursive: true });
  for (const name of ["backend-kit", "spec", "host", "net", "testkit"]) {
    await symlink(join(ROOT, "packages", name), join(modules, "@mayfly", name));
  }
  const zod = await realpath(join(ROOT, "packages/backend-kit/node_modules/zod"));
  await symlink(zod, join(modules, "zod"));
});
afterAll(() => rm(workspace, { recursive: true, force: true }));

test("a package that was just made passes its type check", async () => {
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const project = join(workspace, "packages/backend-billing");
  const { stdout } = await run(tsc, ["-p", project, "--noEmit"], { cwd: project, ...MAX });
  expect(stdout).toBe("");
});

test("it passes the contract suite against its fake, with a network and an API that fail", async () => {
  const vitest = join(ROOT, "node_modules/.bin/vitest");
  const file = join(workspace, "report.json");
  const args = ["run", "--root", workspace, "--config", "vitest.config.mjs"];
  const report = ["--reporter=json", `--outputFile=${file}`];
  await run(vitest, [...args, ...report, "packages/backend-billing"], { cwd: workspace, ...MAX });
  const text = await readFile(file, "utf8");
  expect(JSON.parse(text)).toMatchObject({ success: true, numFailedTests: 0, numPendingTests: 0 });
  // Not an empty file's success.
  expect(text).toContain("429 with Retry-After");
});
