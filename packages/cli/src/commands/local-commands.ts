import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { usageError } from "../cli-error.ts";
import { passSignals } from "../exec/pass-signals.ts";
import { runChild } from "../exec/run-child.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

/** `mayfly dev` and `mayfly demo`, which are those of `npm run` in a checkout. */
export const localCommands: CommandSet = (program, open) => {
  program
    .command("dev")
    .description("a whole Mayfly on this machine, until it is stopped; not for production")
    .option("--demo-workloads", "register the demo's database, write tokens of demo workloads")
    .option("--folder <folder>", "where data, keys and tokens are kept (.mayfly/dev)")
    .addHelpText("after", examples("mayfly dev", "mayfly dev --demo-workloads"))
    .action(async (options: { demoWorkloads?: true; folder?: string }, command: Command) => {
      const args = [
        ...(options.demoWorkloads === true ? ["--demo-workloads"] : []),
        ...(options.folder === undefined ? [] : ["--folder", options.folder]),
      ];
      await runProgram(open(command), "dev", args);
    });
  program
    .command("demo")
    .description("the main job, on real parts, in front of your eyes")
    .addHelpText("after", examples("mayfly demo"))
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      await runProgram(session, "demo", session.json ? ["--json"] : []);
    });
};

/** In our place: its output, its signals and its end are the command's. */
async function runProgram(
  session: Session,
  name: "dev" | "demo",
  args: readonly string[],
): Promise<void> {
  const url = new URL(`../../../../services/embedded/src/${name}.ts`, import.meta.url);
  const path = fileURLToPath(url);
  if (!existsSync(path)) {
    const todo = `Clone the repository; there it is \`npm run ${name}\`, or bin/mayfly ${name}.`;
    throw usageError(`mayfly ${name} is part of a checkout, and this is none.`, todo, path);
  }
  const signals = passSignals(session.io.interactive);
  try {
    const environment = Object.entries(session.io.environment).filter(
      (pair): pair is [string, string] => pair[1] !== undefined,
    );
    const child = runChild(process.execPath, [path, ...args], Object.fromEntries(environment));
    signals.passTo(child);
    session.endWith((await child.ended).exitCode);
  } finally {
    signals.stop();
  }
}
