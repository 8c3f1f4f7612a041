import { execFile } from "node:child_process";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the replay of this run writes what it came to, as {@link ReplayEnd}, when it ends. */
    mayflyReplay: string;
  }
}

/** How the program `replay.ts` ended. */
export interface ReplayEnd {
  /** Null when it did not end by itself. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What each run of the suite replays: `.ci/run` is to see that many. */
export const HISTORIES = 10_000;
/** The histories of one seed are the same in each run: another seed is looked at by hand. */
const SEED = "2026-11-29T16:05:43.166Z";
/** Less than any test: it takes the time in which those wait, and is asked for after them. */
const NICENESS = 10;
/** A history leaves nothing behind that lives: with room to die in, little of it is copied. */
const NODE_OPTIONS = ["--max-semi-space-size=64"];
const OUTPUT_BYTES_MAX = 1_048_576;

/** Starts the replay when the run starts; its test, which waits for it, is the run's last. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-replay-"));
  const endFile = join(folder, "end.json");
  project.provide("mayflyReplay", endFile);
  const program = join(import.meta.dirname, "replay.ts");
  const args = [
    ...NODE_OPTIONS,
    program,
    "--histories",
    String(HISTORIES),
    "--seed",
    SEED,
    "--json",
  ];
  const written = Promise.withResolvers<void>();
  const child = execFile(
    process.execPath,
    args,
    { maxBuffer: OUTPUT_BYTES_MAX },
    (_error, stdout, stderr) => {
      const end: ReplayEnd = { code: child.exitCode, stdout, stderr };
      writeWhole(endFile, JSON.stringify(end)).then(written.resolve, written.reject);
    },
  );
  if (child.pid !== undefined) setPriority(child.pid, NICENESS);
  return async () => {
    child.kill("SIGTERM");
    await written.promise;
    await rm(folder, { recursive: true, force: true });
  };
}

/** Whoever sees the file sees all of it. */
async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.part`, text);
  await rename(`${path}.part`, path);
}
