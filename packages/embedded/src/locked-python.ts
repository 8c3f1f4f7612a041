import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

const FOLDER = resolve(dirname(fileURLToPath(import.meta.url)), "../../../.mayfly/python");
const INSTALL_MS_MAX = 600_000;
const LOOK_MS_MAX = 90_000;

/**
 * The Python of a virtual environment that holds exactly what the lock file says, each file by its
 * hash. Made once for each lock and Python, under `.mayfly/`; of two that make it at once one is
 * kept. What is installed in it is run as a module: its scripts name the place where it was made.
 */
export async function lockedPython(python: string, lock: string): Promise<string> {
  const { stdout: version } = await run(python, ["-VV"], { timeout: LOOK_MS_MAX });
  const key = createHash("sha256")
    .update(JSON.stringify([python, version, await readFile(lock, "utf8")]))
    .digest("hex");
  const folder = join(FOLDER, key.slice(0, 16));
  const program = join(folder, "bin/python");
  const isThere = (): Promise<boolean> =>
    access(program).then(
      () => true,
      () => false,
    );
  if (await isThere()) return program;
  const fresh = `${folder}.${process.pid}`;
  await mkdir(fresh, { recursive: true });
  try {
    await run(python, ["-m", "venv", fresh], { timeout: INSTALL_MS_MAX });
    const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    // Where there is no network it is known soon.
    install.push("--retries", "2", "--timeout", "15");
    const exactly = ["--require-hashes", "--only-binary=:all:", "-r", lock];
    await run(join(fresh, "bin/python"), [...install, ...exactly], { timeout: INSTALL_MS_MAX });
    await rename(fresh, folder).catch(async (error: unknown) => {
      if (!(await isThere())) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return program;
}
