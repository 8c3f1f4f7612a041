import { expect, test } from "vitest";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT, repositoryFiles, run } from "./repository.ts";

const CONFIG = join(ROOT, ".oxfmtrc.json");

test("formatting is clean", async () => {
  const { code, all } = await run("oxfmt", ["--config", CONFIG, "--check", "."]);
  expect(code, `run: pnpm exec oxfmt .\n${all}`).toBe(0);
  const files = Number(/on (\d+) files/.exec(all)?.[1]);
  const sources = (await repositoryFiles()).filter((path) => /\.(ts|mjs)$/.test(path));
  expect(files).toBeGreaterThanOrEqual(sources.length);
});

test("the check fails on a line that is longer than 100 columns", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-format-"));
  const line = (name: string): string => `export const ${name} = [${"1234567, ".repeat(8)}1];\n`;
  try {
    await writeFile(join(folder, "fits.ts"), line("a"));
    expect((await run("oxfmt", ["--config", CONFIG, "--check", folder])).code).toBe(0);
    await writeFile(join(folder, "long.ts"), line("a_name_that_makes_it_too_long"));
    expect((await run("oxfmt", ["--config", CONFIG, "--check", folder])).code).not.toBe(0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
