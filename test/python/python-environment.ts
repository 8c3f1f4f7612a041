import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export const ROOT = join(import.meta.dirname, "../..");
export const PACKAGE = join(ROOT, "packages/client-python");
const LOCK = join(PACKAGE, "requirements/test.txt");
const INSTALL_MS_MAX = 600_000;
const LOOK_MS_MAX = 20_000;

/**
 * The Python of a virtual environment that holds exactly what the lock file says, each file by its
 * hash. Made once for each lock and Python, under `.mayfly/`.
 */
export async function lockedPython(python: string): Promise<string> {
  const { stdout: version } = await run(python, ["-VV"], { timeout: LOOK_MS_MAX });
  const key = createHash("sha256")
    .update(JSON.stringify([python, version, await readFile(LOCK, "utf8")]))
    .digest("hex");
  const folder = join(ROOT, ".mayfly/python", key.slice(0, 16));
  const program = join(folder, "bin/python");
  const whole = join(folder, "whole");
  const isWhole = await access(whole).then(
    () => true,
    () => false,
  );
  if (isWhole) return program;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await run(python, ["-m", "venv", folder], { timeout: INSTALL_MS_MAX });
  const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  await run(program, [...install, "--require-hashes", "--only-binary=:all:", "-r", LOCK], {
    timeout: INSTALL_MS_MAX,
  });
  await writeFile(whole, "");
  return program;
}
