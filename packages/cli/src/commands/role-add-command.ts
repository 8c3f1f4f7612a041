import type { Command } from "commander";
import type { AddOptions } from "../add/add-object.ts";
import { addRole } from "../add/add-role.ts";
import type { Session } from "../session.ts";
import { answerOptions } from "./answer-options.ts";
import { examples } from "./examples.ts";

/** `role add`: asks for a role on a backend that is there, shows it, and registers it. */
export function roleAddCommand(role: Command, open: (command: Command) => Session): void {
  answerOptions(
    role
      .command("add")
      .description(
        "register a new role: asks for what its backend's type wants, and shows it first",
      )
      .argument("<role>", "its backend and its own name: orders-db/reader"),
  )
    .addHelpText(
      "after",
      `
A path is like ttl_max or member_of[0]; lists and objects may be given as JSON.
${examples(
  "mayfly role add orders-db/writer",
  "mayfly role add orders-db/clerk --set member_of=app_reader --set data_class=internal " +
    "--set reversibility=read_only --set environment=dev --print --no-input",
)}`,
    )
    .action(async (name: string, options: AddOptions, command: Command): Promise<void> => {
      await addRole(open(command), name, options);
    });
}
