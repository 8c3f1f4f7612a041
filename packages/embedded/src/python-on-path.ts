import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { programOnPath } from "./program-on-path.ts";

const run = promisify(execFile);
/** The plain name first: it is what its owner chose. */
const NAMES = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];
/** Debian's python3 has `venv` without what it needs: that is the package python3-venv. */
const SUITS = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
const LOOK_MS_MAX = 90_000;

/** A Python that the client supports and that can make a virtual environment, or `undefined`. */
export async function pythonOnPath(path: string | undefined): Promise<string | undefined> {
  for (const name of NAMES) {
    const program = await programOnPath(name, path);
    if (program === undefined) continue;
    const suits = await run(program, ["-c", SUITS], { timeout: LOOK_MS_MAX }).then(
      () => true,
      () => false,
    );
    if (suits) return program;
  }
  return undefined;
}
