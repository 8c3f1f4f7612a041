import { copyFile, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { ROOT, repositoryFiles, run } from "./repository.ts";

const configs = async (): Promise<readonly string[]> =>
  (await repositoryFiles()).filter((path) => /(^|\/)tsconfig\.json$/.test(path));

/** All projects at once: each alone reads most of the others' sources anew, for a minute. */
const WHOLE = "tsconfig.whole.json";

test("types check, and every source file is checked", async () => {
  const files = await repositoryFiles();
  const { code, output } = await run("tsc", ["-p", WHOLE, "--noEmit", "--listFiles"]);
  const lines = output.split("\n");
  expect(lines.filter((line) => /error TS\d+/.test(line))).toEqual([]);
  expect(code).toBe(0);
  const checked = new Set(lines.map((line) => relative(ROOT, line.trim())));
  const sources = files.filter(
    (path) => /\.(ts|mjs)$/.test(path) && !path.includes("__fixtures__"),
  );
  expect(sources.length).toBeGreaterThan(100);
  expect(sources.filter((path) => !checked.has(path))).toEqual([]);
});

test("every package is checked as the whole is, by the strict base, which nothing relaxes", async () => {
  const folders = new Set(
    (await repositoryFiles())
      .filter((path) => /^(packages|services)\/[^/]+\/package\.json$/.test(path))
      .map((path) => dirname(path)),
  );
  const projects = await configs();
  expect(folders.size).toBeGreaterThan(10);
  expect([...folders].filter((folder) => !projects.includes(`${folder}/tsconfig.json`))).toEqual(
    [],
  );
  const whole = await optionsOf(WHOLE);
  expect(STRICT.filter((option) => whole[option] !== true)).toEqual([]);
  for (const project of projects) {
    // A package has no JavaScript, and then these two say nothing.
    const options = { allowJs: true, checkJs: true, ...(await optionsOf(project)) };
    expect({ project, options }).toEqual({ project, options: whole });
  }
});

async function optionsOf(project: string): Promise<Readonly<Record<string, unknown>>> {
  const { output, all } = await run("tsc", ["-p", project, "--showConfig"]);
  const shown: unknown = JSON.parse(output);
  const isShown = typeof shown === "object" && shown !== null && "compilerOptions" in shown;
  if (!isShown) throw new Error(`tsc shows no options of ${project}: ${all}`);
  // A cast: it is compared as a whole, so that another shape fails there.
  return shown.compilerOptions as Readonly<Record<string, unknown>>;
}

const STRICT = [
  "strict",
  "noUncheckedIndexedAccess",
  "exactOptionalPropertyTypes",
  "noImplicitOverride",
  "noImplicitReturns",
  "noFallthroughCasesInSwitch",
  "noPropertyAccessFromIndexSignature",
  "verbatimModuleSyntax",
  "erasableSyntaxOnly",
];

/** What the strict base has to refuse: one mistake per file, and the error it has to give. */
const MISTAKES: readonly (readonly [file: string, text: string, code: string])[] = [
  ["enum.ts", "export enum State { Active }", "TS1294"],
  ["parameter-property.ts", "export class A { constructor(readonly a: number) {} }", "TS1294"],
  ["index.ts", "export const f = (a: number[]): number => a[0];", "TS2322"],
  ["optional.ts", "export const f = (): { a?: number } => ({ a: undefined });", "TS2375"],
  [
    "value-import.ts",
    `import { CipherKey } from "node:crypto"; export type A = CipherKey;`,
    "TS1484",
  ],
];

test("the strict base refuses what it is there to refuse", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-types-"));
  try {
    await copyFile(join(ROOT, "tsconfig.base.json"), join(folder, "tsconfig.base.json"));
    await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
    await writeFile(join(folder, "tsconfig.json"), `{ "extends": "./tsconfig.base.json" }`);
    await writeFile(join(folder, "package.json"), `{ "type": "module" }`);
    for (const [file, text] of MISTAKES) await writeFile(join(folder, file), `${text}\n`);
    const { output } = await run("tsc", ["-p", "."], { cwd: folder });
    const found = [...output.matchAll(/^([\w-]+\.ts).*error (TS\d+)/gm)].map(
      ([, file, code]) => `${file}: ${code}`,
    );
    expect([...new Set(found)].toSorted()).toEqual(
      MISTAKES.map(([file, , code]) => `${file}: ${code}`).toSorted(),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
