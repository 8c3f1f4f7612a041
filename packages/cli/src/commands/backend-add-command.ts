import { Argument, type Command } from "commander";
import { addBackend } from "../add/add-backend.ts";
import type { AddOptions } from "../add/add-object.ts";
import type { Session } from "../session.ts";
import { answerOptions } from "./answer-options.ts";
import { examples } from "./examples.ts";

/** For completion and help alone: the broker knows which types there are, outsiders' too. */
export const USUAL_TYPES: readonly string[] = [
  "postgres",
  "mysql",
  "redis",
  "rabbitmq",
  "aws",
  "jwt",
  "webhook",
  "static",
  "x509",
  "vault",
  "ssh",
];

/** `backend add`: asks for a backend's configuration, shows it, and registers it. */
export function backendAddCommand(backend: Command, open: (command: Command) => Session): void {
  const type = new Argument("<type>", "such as postgres").choices(USUAL_TYPES);
  answerOptions(
    backend
      .command("add")
      .description("register a new backend: asks for what its type wants, and shows it first")
      // The choices are offered; others are not refused here.
      .addArgument(type.argParser((text) => text))
      .argument("[backend]", "name for the backend"),
  )
    .addHelpText(
      "after",
      `
A path is like host, limits.burst or standbys[0].host; lists and objects may be given as JSON. A
secret is typed unseen, or named by the variable or file that has it: it is never an argument, and
in a file it stands as such a name. Ctrl-C leaves everything as it was.
${examples(
  "mayfly backend add postgres orders-db",
  "mayfly backend add jwt shop-api --set audiences[0]=https://shop.acme.test --print --no-input",
)}`,
    )
    .action(
      async (
        name: string,
        id: string | undefined,
        options: AddOptions,
        command: Command,
      ): Promise<void> => {
        await addBackend(open(command), name, id ?? null, options);
      },
    );
}
