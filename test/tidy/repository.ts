import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository that the rules are about. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface Ran {
  readonly code: number;
  /** Standard output. */
  readonly output: string;
  /** Standard output, then standard error: what to show when it fails. */
  readonly all: string;
}

/** Runs a program of `node_modules/.bin`, or any other, in a folder; never rejects. */
export function run(
  program: string,
  args: readonly string[],
  { cwd = ROOT, timeoutMs = 120_000 }: { cwd?: string; timeoutMs?: number } = {},
): Promise<Ran> {
  const bin = join(ROOT, "node_modules", ".bin");
  const path = [bin, dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter);
  return new Promise((resolve) => {
    execFile(
      program,
      [...args],
      {
        cwd,
        timeout: timeoutMs,
        maxBuffer: 64 * 1024 * 1024,
        env: { ...process.env, PATH: path, NO_COLOR: "1", FORCE_COLOR: "0" },
      },
      (error, stdout, stderr) => {
        const failed = typeof error?.code === "number" ? error.code : 1;
        resolve({ code: error === null ? 0 : failed, output: stdout, all: `${stdout}${stderr}` });
      },
    );
  });
}

/**
 * All files of the repository, untracked but not ignored ones included, as paths from its root:
 * a rule that waited for the commit would come too late.
 */
export async function repositoryFiles(): Promise<readonly string[]> {
  const { code, output, all } = await run("git", [
    "ls-files",
    "--cached",
    "--others",
    "--exclude-standard",
    "-z",
  ]);
  if (code !== 0) throw new Error(`git ls-files failed in ${ROOT}: ${all}`);
  return output.split("\0").filter((path) => path !== "" && existsSync(join(ROOT, path)));
}

export const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** The manifest of one workspace package. */
export interface Manifest {
  /** Folder from the root; `.` is the root itself. */
  readonly folder: string;
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** The manifests of the workspace, the root's first. */
export async function manifests(): Promise<readonly Manifest[]> {
  const files = await repositoryFiles();
  const paths = files.filter((path) =>
    /^((packages|services)\/[^/]+\/|test\/)?package\.json$/.test(path),
  );
  return paths.map((path) => parseManifest(path, JSON.parse(read(path)))).toSorted(byFolder);
}

const byFolder = (a: Manifest, b: Manifest): number => (a.folder < b.folder ? -1 : 1);

function parseManifest(path: string, value: unknown): Manifest {
  if (typeof value !== "object" || value === null) throw new Error(`${path} is no object`);
  const name = "name" in value ? value.name : undefined;
  if (typeof name !== "string") throw new Error(`${path} has no name`);
  return {
    folder: dirname(path),
    name,
    dependencies: parseVersions("dependencies" in value ? value.dependencies : {}),
    devDependencies: parseVersions("devDependencies" in value ? value.devDependencies : {}),
  };
}

function parseVersions(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(typeof value === "object" && value !== null ? value : {});
  return Object.fromEntries(entries.map(([name, version]) => [name, String(version)]));
}
