import { Command } from "commander";
import { adminTokenCommands } from "./commands/admin-token-commands.ts";
import { applyCommand } from "./commands/apply-command.ts";
import { askCommands } from "./commands/ask-commands.ts";
import { backendCommands } from "./commands/backend-commands.ts";
import { completionCommand } from "./commands/completion-command.ts";
import { sessionOpener } from "./commands/command-set.ts";
import { doctorCommand } from "./commands/doctor-command.ts";
import { endCommands } from "./commands/end-commands.ts";
import { eventCommands } from "./commands/event-commands.ts";
import { execCommand } from "./commands/exec-command.ts";
import { examples } from "./commands/examples.ts";
import { leaseCommands } from "./commands/lease-commands.ts";
import { ledgerCommands } from "./commands/ledger-commands.ts";
import { localCommands } from "./commands/local-commands.ts";
import { migrateCommand } from "./commands/migrate-command.ts";
import { policyCommands } from "./commands/policy-commands.ts";
import { resourceServerCommands } from "./commands/resource-server-commands.ts";
import { roleCommands } from "./commands/role-commands.ts";
import { sealingCommands } from "./commands/sealing-commands.ts";
import { signingKeyCommands } from "./commands/signing-key-commands.ts";
import { taskCommands } from "./commands/task-commands.ts";
import { traceCommand } from "./commands/trace-command.ts";
import { trustCommands } from "./commands/trust-commands.ts";
import type { Io } from "./io.ts";
import type { Ending } from "./session.ts";

/** In the order of the help. */
const COMMAND_SETS = [
  execCommand,
  taskCommands,
  leaseCommands,
  endCommands,
  askCommands,
  traceCommand,
  eventCommands,
  ledgerCommands,
  applyCommand,
  policyCommands,
  backendCommands,
  roleCommands,
  trustCommands,
  resourceServerCommands,
  doctorCommand,
  localCommands,
  migrateCommand,
  adminTokenCommands,
  sealingCommands,
  signingKeyCommands,
] as const;

/** The whole `mayfly` command. It throws instead of ending the process. */
export function createProgram(io: Io, ending: Ending, version: string): Command {
  const program = new Command("mayfly")
    .description("Credentials that live as long as the task.")
    .version(version, "--version", "print the version")
    .option("--json", "print JSON: one document, or one line per record")
    .option("-q, --quiet", "print ids or nothing beside errors")
    .option("--url <url>", "the broker (MAYFLY_URL)")
    .option("--admin-token-file <path>", "file with the administrator's token (MAYFLY_ADMIN_TOKEN)")
    .option("--unsafe-plain-http", "send the token over http to another machine")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help")
    .showSuggestionAfterError(true)
    .addHelpText(
      "after",
      examples("mayfly lease list --exposed", "mayfly explain dec_0199…", "mayfly doctor"),
    );
  const open = sessionOpener(io, ending);
  for (const addTo of COMMAND_SETS) addTo(program, open);
  completionCommand(program, io);
  for (const command of withDescendants(program)) {
    command.exitOverride();
    command.configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      // Told by `runCli`, in the words of every other error.
      outputError: () => undefined,
      getOutHasColors: () => io.colours.out,
      getErrHasColors: () => io.colours.err,
    });
  }
  return program;
}

export function withDescendants(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(withDescendants)];
}
