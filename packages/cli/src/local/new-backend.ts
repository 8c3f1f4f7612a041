import { cp, mkdir, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { configError, usageError } from "../cli-error.ts";

export interface NewBackend {
  /** Folder of the package. */
  readonly folder: string;
  /** The page to be written. */
  readonly page: string;
  /** What is left to do, in order. */
  readonly next: readonly string[];
}

/** A type's name is in every lease's row and in identifiers of the code. */
const NAME = /^[a-z][a-z0-9]{1,30}$/;
const TEMPLATE = "packages/backend-kit/src/template";

const isThere = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => null)) !== null;

/**
 * Writes a package for a backend type: the template, which is a complete type over a fake of an
 * API, under another name. `root` is a checkout of Mayfly; `into` is where packages are.
 */
export async function newBackend(name: string, root: string, into: string): Promise<NewBackend> {
  if (!NAME.test(name) || name === "kit") {
    throw usageError(
      `"${name}" is no name for a type of backend.`,
      "Use 2 to 31 lowercase letters and digits that begin with a letter, such as billing.",
      "name",
    );
  }
  const template = join(root, TEMPLATE);
  if (!(await isThere(template))) {
    throw configError(
      "There is no template here.",
      template,
      "Run it in the root of a checkout of Mayfly.",
    );
  }
  const folder = join(root, into, `backend-${name}`);
  const page = into === "packages" ? join(root, "docs/backends", `${name}.md`) : `${folder}.md`;
  for (const path of [folder, page]) {
    if (await isThere(path)) {
      throw usageError("It is there already.", "Choose another name, or remove it.", path);
    }
  }
  await write(template, folder, page, name);
  return { folder, page, next: nextSteps(name) };
}

/** All or nothing: the package takes its place last. */
async function write(template: string, folder: string, page: string, name: string): Promise<void> {
  const making = join(dirname(folder), `.${name}.new`);
  await rm(making, { recursive: true, force: true });
  try {
    const source = join(making, "src");
    await mkdir(making, { recursive: true });
    await cp(template, source, { recursive: true, dereference: true });
    await renameAll(source, name);
    await writeFile(join(making, "package.json"), manifest(name));
    await writeFile(
      join(making, "tsconfig.json"),
      json({ extends: "../../tsconfig.base.json", include: ["src"] }),
    );
    await mkdir(dirname(page), { recursive: true });
    await rename(join(source, "page.md"), page);
    await rename(making, folder);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    throw error;
  }
}

const named = (text: string, name: string): string =>
  text
    .replaceAll("example", name)
    .replaceAll("Example", `${name.charAt(0).toUpperCase()}${name.slice(1)}`)
    .replaceAll("EXAMPLE", name.toUpperCase());

async function renameAll(folder: string, name: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await renameAll(path, name);
      continue;
    }
    await writeFile(path, named(await readFile(path, "utf8"), name));
    await rename(path, join(folder, named(entry.name, name)));
  }
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const manifest = (name: string): string =>
  json({
    name: `@mayfly/backend-${name}`,
    version: "0.0.0",
    private: true,
    type: "module",
    exports: { ".": "./src/index.ts" },
    scripts: { typecheck: "tsc -p ." },
    dependencies: {
      "@mayfly/backend-kit": "workspace:*",
      "@mayfly/spec": "workspace:*",
      zod: "catalog:",
    },
    devDependencies: {
      "@mayfly/host": "workspace:*",
      "@mayfly/net": "workspace:*",
      "@mayfly/testkit": "workspace:*",
    },
  });

const nextSteps = (name: string): readonly string[] => [
  "node bootstrap/run.mjs exec bash: a shell with this checkout's Node and pnpm",
  "pnpm install",
  `pnpm exec vitest run packages/backend-${name}`,
  `Name ${name}Backend in TYPES of services/composition/src/backend-types.ts, and ` +
    `"@mayfly/backend-${name}": "workspace:*" in services/composition/package.json.`,
  "pnpm install, once more: it links what the last step names",
  "node services/composition/src/write-backend-pages.ts",
  "node services/composition/src/write-file-schemas.ts",
  "pnpm exec oxfmt",
  "Make it true, step by step: docs/backend-kit.md",
];
