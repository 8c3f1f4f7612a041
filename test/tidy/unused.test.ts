import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT, run } from "./repository.ts";
import { seededWorkspace } from "./seeded-workspace.ts";

const ARGS = ["--no-config-hints", "--no-progress"];

test("no file, export, type or dependency is unused", async () => {
  const { code, all } = await run("knip", ARGS);
  expect(code, all).toBe(0);
});

test("an unused file, export and dependency are found", async () => {
  const { folder, remove } = await seededWorkspace([
    {
      rules: [],
      path: "packages/core/src/index.ts",
      text: `export { used } from "./exports.ts"; export * from "@mayfly/spec";`,
    },
    {
      rules: [],
      path: "packages/core/src/exports.ts",
      text: "export const used = 1; export const nobodyImportsThis = 2;",
    },
  ]);
  try {
    await copyFile(join(ROOT, "knip.json"), join(folder, "knip.json"));
    await writeFile(
      join(folder, "pnpm-workspace.yaml"),
      "packages:\n  - packages/*\n  - services/*\n",
    );
    const { code, all } = await run("knip", ARGS, { cwd: folder });
    expect(code, all).toBe(1);
    expect(all).toContain("packages/core/src/hidden.ts");
    expect(all).toContain("nobodyImportsThis");
    expect(all).toMatch(/only-for-tests\s+packages\/core\/package\.json/);
  } finally {
    await remove();
  }
});
