import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { LINT_SEEDS } from "./lint-seeds.ts";
import { ROOT, run } from "./repository.ts";

interface LintResult {
  readonly number_of_files: number;
  readonly number_of_rules: number;
  readonly diagnostics: readonly {
    readonly code: string;
    readonly filename: string;
    readonly message: string;
    readonly labels: readonly { readonly span: { readonly line: number } }[];
  }[];
}

async function lint(cwd: string): Promise<LintResult> {
  const { output, all } = await run("oxlint", ["--format", "json"], { cwd });
  if (!output.startsWith("{")) throw new Error(`oxlint gave no result: ${all}`);
  // A cast: what is read of it here is compared below, so that another shape fails there.
  return JSON.parse(output) as LintResult;
}

test("lint is clean", async () => {
  const { diagnostics, number_of_files: files } = await lint(ROOT);
  const listing = diagnostics.map(
    ({ code, filename, message, labels }) =>
      `${filename}:${labels[0]?.span.line ?? 0} ${code} ${message}`,
  );
  expect(listing).toEqual([]);
  expect(files).toBeGreaterThan(100);
});

test("each rule finds its seed, and nothing where an exception is meant", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-lint-"));
  try {
    for (const name of [".oxlintrc.json", "tsconfig.base.json"]) {
      await copyFile(join(ROOT, name), join(folder, name));
    }
    await writeFile(join(folder, "tsconfig.json"), `{ "extends": "./tsconfig.base.json" }`);
    await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
    for (const { path, text } of LINT_SEEDS) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), `${text}\n`);
    }
    const { diagnostics } = await lint(folder);
    const found = diagnostics.map(({ code, filename }) => `${filename}: ${code}`);
    const expected = LINT_SEEDS.flatMap(({ path, rules }) => rules.map((r) => `${path}: ${r}`));
    expect([...new Set(found)].toSorted()).toEqual(expected.toSorted());
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
