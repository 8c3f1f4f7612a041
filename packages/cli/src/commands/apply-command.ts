import type { Command } from "commander";
import { applyFolder } from "../apply/apply-folder.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

interface Options {
  readonly file: string;
  readonly dryRun?: true;
  readonly prune?: true;
  readonly yes?: true;
  readonly exitCode?: true;
}

export const applyCommand: CommandSet = (program, open) => {
  program
    .command("apply")
    .description("make what is registered what the files of a folder say")
    .requiredOption("-f, --file <folder>", "folder with backends, roles, trust and policies")
    .option("--dry-run", "show what would change, and change nothing")
    .option("--prune", "delete what is in no file, of the kinds whose folder is there")
    .option("--yes", "do not ask before deleting")
    .option("--exit-code", "with --dry-run: end with 1 if something would change")
    .addHelpText(
      "after",
      examples(
        "mayfly apply -f mayfly --dry-run",
        "mayfly apply -f mayfly",
        "mayfly apply -f mayfly --prune --yes",
      ),
    )
    .action(async (options: Options, command: Command) => {
      await applyFolder(open(command), options.file, {
        dryRun: options.dryRun === true,
        prune: options.prune === true,
        yes: options.yes === true,
        exitCode: options.exitCode === true,
      });
    });
};
