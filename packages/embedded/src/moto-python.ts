import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { lockedPython } from "./locked-python.ts";
import { pythonOnPath } from "./python-on-path.ts";

const LOCK = resolve(
  dirname(fileURLToPath(import.meta.url)),
  "../../../infra/moto/requirements.txt",
);

/**
 * The Python of an environment with moto, which is made at the first call; undefined where there is
 * no Python, or the package registry was not to be reached.
 */
export async function motoPython(path: string | undefined): Promise<string | undefined> {
  const python = await pythonOnPath(path);
  return python === undefined ? undefined : lockedPython(python, LOCK).catch(() => undefined);
}
