import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { testPrograms } from "../harness/index.ts";

export interface Ran {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
export interface RunOptions {
  readonly environment: Readonly<Record<string, string>>;
  /** Given on standard input, which ends after it. */
  readonly input?: string;
  /** Called as soon as the process runs. */
  readonly started?: (pid: number) => void;
}

/** The `mayfly` command as a process of its own, as a script runs it. */
export function runMayfly(argv: readonly string[], options: RunOptions): Promise<Ran> {
  const { migrator: command, keepCompiled } = testPrograms();
  const child = spawn(process.execPath, ["--require", keepCompiled, command, ...argv], {
    env: { ...options.environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  if (child.pid !== undefined) options.started?.(child.pid);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, out, err }));
  });
}

/** Writes files below a folder, by their path in it. */
export async function writeFiles(
  folder: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}
