import { copyFile, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { ROOT, repositoryFiles, run } from "./repository.ts";

const configs = async (): Promise<readonly string[]> =>
  (await repositoryFiles()).filter((path) => /(^|\/)tsconfig\.json$/.test(path));

test("types check, and every source file belongs to a project that is checked", async () => {
  const [projects, files] = [await configs(), await repositoryFiles()];
  const results = await Promise.all(
    projects.map((project) => run("tsc", ["-p", project, "--noEmit", "--listFiles"])),
  );
  const checked = new Set(
    results.flatMap(({ output }) => output.split("\n").map((line) => relative(ROOT, line.trim()))),
  );
  const errors = results.flatMap(({ output }) =>
    output.split("\n").filter((line) => /error TS\d+/.test(line)),
  );
  expect([...new Set(errors)]).toEqual([]);
  expect(results.map(({ code }, i) => `${projects[i]}: exit ${code}`)).toEqual(
    projects.map((project) => `${project}: exit 0`),
  );
  const sources = files.filter(
    (path) => /\.(ts|mjs)$/.test(path) && !path.includes("__fixtures__"),
  );
  expect(sources.length).toBeGreaterThan(100);
  expect(sources.filter((path) => !checked.has(path))).toEqual([]);
});

test("every package is checked by the strict base and relaxes nothing of it", async () => {
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
  for (const project of projects) {
    const { output, all } = await run("tsc", ["-p", project, "--showConfig"]);
    const relaxed = STRICT.filter((option) => !new RegExp(`"${option}": true`).test(output));
    expect({ project, relaxed }, all).toEqual({ project, relaxed: [] });
  }
});

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
