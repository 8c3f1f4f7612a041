import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");
const PACKAGE = join(ROOT, "packages/client");
const FIXTURES = join(import.meta.dirname, "__fixtures__");

/** A folder with nothing in it but the installed tarball, and programs of the fixtures. */
export interface EmptyProject extends AsyncDisposable {
  readonly folder: string;
  /** The files of the tarball. */
  readonly files: readonly string[];
  copy(...fixtures: readonly string[]): Promise<void>;
  /** Puts a package that is installed elsewhere beside the client, as `npm install` would. */
  link(name: string, from: string): Promise<void>;
}

/** Packs the client as it is published, which builds it, and installs that in an empty folder. */
export async function installPackedClient(): Promise<EmptyProject> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-packed-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  await rm(join(PACKAGE, "dist"), { recursive: true, force: true });
  await run("pnpm", ["pack", "--pack-destination", folder], { cwd: PACKAGE });
  const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("nothing was packed");
  const { stdout } = await run("tar", ["-tzf", join(folder, tarball)]);
  await writeFile(join(folder, "package.json"), `{ "private": true, "type": "module" }\n`);
  // A workspace of its own, which ends the search for one above; offline: it needs nothing else.
  await writeFile(join(folder, "pnpm-workspace.yaml"), "packages: []\n");
  await run("pnpm", ["add", "--offline", `./${tarball}`], { cwd: folder });
  const all = started.move();
  return {
    folder,
    files: stdout.trim().split("\n"),
    copy: async (...fixtures) => {
      for (const name of fixtures) await copyFile(join(FIXTURES, name), join(folder, name));
    },
    link: async (name, from) => {
      const own = join(folder, "node_modules/@mayfly/client");
      const place = join(await realFolder(own), "node_modules", name);
      await mkdir(join(place, ".."), { recursive: true });
      await symlink(from, place);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** Where a package looks for its own dependencies: beside it in the virtual store. */
async function realFolder(path: string): Promise<string> {
  const { stdout } = await run("realpath", [path]);
  return stdout.trim();
}
