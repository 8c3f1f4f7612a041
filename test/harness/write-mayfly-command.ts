import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { testPrograms } from "./test-programs.ts";

const CHECKOUT = join(import.meta.dirname, "../../bin/mayfly");

/**
 * Puts a `mayfly` into a folder of the PATH: the bundled one, for shells that type hundreds of its
 * commands. `dev` and `demo` are parts of a checkout.
 */
export async function writeMayflyCommand(folder: string): Promise<void> {
  const { migrator: command, keepCompiled } = testPrograms();
  const script = `#!/bin/sh
case "\${1:-}" in dev | demo) exec '${CHECKOUT}' "$@" ;; esac
exec '${process.execPath}' --disable-sigusr1 --require '${keepCompiled}' '${command}' "$@"
`;
  await writeFile(join(folder, "mayfly"), script, { mode: 0o755 });
}
