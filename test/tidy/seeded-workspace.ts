import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** One file of a seeded workspace, and the rules that have to find fault with it. */
export interface Seed {
  readonly rules: readonly string[];
  readonly path: string;
  readonly text: string;
}

const PACKAGES = [
  "spec",
  "core",
  "policy",
  "queue",
  "backend-alpha",
  "backend-beta",
  "backend-kit",
  "testkit",
  "embedded",
  "cli",
  "client",
];
const SERVICES = ["broker", "worker", "composition"];
const LIBRARIES = ["zod", "postgres", "only-for-tests", "of-the-root"];

/** A small workspace of the repository's shape, in which every import is as it should be. */
const SOUND: readonly (readonly [path: string, text: string])[] = [
  ["packages/core/src/uses-spec.ts", `export * from "@mayfly/spec"; export * from "zod";`],
  ["packages/core/src/hidden.ts", "export const hidden = 1;"],
  ["packages/core/src/fakes.test.ts", `export * from "@mayfly/testkit";`],
  ["packages/cli/src/some.test.ts", `export * from "@mayfly/embedded";`],
  ["packages/backend-alpha/src/uses-kit.ts", `export * from "@mayfly/backend-kit";`],
  ["packages/policy/src/uses-spec.ts", `export * from "@mayfly/spec";`],
  ["packages/testkit/src/servers.ts", `export * from "@mayfly/embedded";`],
  ["services/broker/src/compose.ts", `export * from "@mayfly/policy";`],
  ["services/broker/src/compose-backends.ts", `export * from "@mayfly/backend-alpha";`],
  ["services/broker/src/compose-shared.ts", `export * from "@mayfly/composition";`],
  ["services/composition/src/queue.ts", `export * from "@mayfly/queue";`],
  ["packages/policy/src/arbitrary-policy.ts", `export * from "@mayfly/testkit";`],
  ["packages/policy/src/testing/servers.ts", `export * from "only-for-tests";`],
  ["services/broker/src/http/app.ts", `export * from "@mayfly/core";`],
  ["services/worker/src/type-a.ts", `export type { B } from "./type-b.ts"; export type A = 1;`],
  ["services/worker/src/type-b.ts", `export type { A } from "./type-a.ts"; export type B = 2;`],
  ["bootstrap/run.mjs", `export * from "node:fs";`],
];

/**
 * Writes a workspace in a temporary folder: the sound files, and the seeds.
 *
 * @returns its folder, and how to remove it
 */
export async function seededWorkspace(seeds: readonly Seed[]): Promise<{
  folder: string;
  remove: () => Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-fence-"));
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), `${text}\n`);
  };
  await write("package.json", manifest("seeded", {}, { "of-the-root": "1.0.0" }));
  for (const [group, names] of [
    ["packages", PACKAGES],
    ["services", SERVICES],
  ] as const) {
    for (const name of names) {
      const dependencies = { zod: "1.0.0", postgres: "1.0.0" };
      const text = manifest(`@mayfly/${name}`, dependencies, { "only-for-tests": "1.0.0" });
      await write(`${group}/${name}/package.json`, text);
      await write(`${group}/${name}/src/index.ts`, `export const name = "${name}";`);
      await mkdir(join(folder, "node_modules/@mayfly"), { recursive: true });
      await symlink(join(folder, group, name), join(folder, "node_modules/@mayfly", name));
    }
  }
  for (const name of LIBRARIES) {
    await write(`node_modules/${name}/package.json`, manifest(name, {}, {}));
    await write(`node_modules/${name}/src/index.ts`, "export const library = 1;");
  }
  for (const [path, text] of SOUND) await write(path, text);
  for (const { path, text } of seeds) await write(path, text);
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

function manifest(
  name: string,
  dependencies: Readonly<Record<string, string>>,
  devDependencies: Readonly<Record<string, string>>,
): string {
  const exports = { ".": "./src/index.ts" };
  return JSON.stringify({
    name,
    version: "1.0.0",
    type: "module",
    exports,
    dependencies,
    devDependencies,
  });
}
