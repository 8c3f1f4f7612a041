import type { Command } from "commander";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

interface MigrateOptions {
  readonly passwordFile?: readonly string[];
}

export const migrateCommand: CommandSet = (program, open) => {
  program
    .command("migrate")
    .description("bring the ledger and the queue in PostgreSQL up to date")
    .option(
      "--password-file <role=path...>",
      "let a database role log in with the password in a file",
    )
    .addHelpText(
      "after",
      `
Reads MAYFLY_DATABASE_URL: the URL of a superuser, or of a role with CREATEROLE that owns the
database. Run again after each upgrade; what is done already stays as it is. The first time it
prints the bootstrap administrator's token, once.
${examples(
  "MAYFLY_DATABASE_URL=postgres://postgres@db/mayfly mayfly migrate",
  "mayfly migrate --password-file mayfly_broker=/run/secrets/broker",
)}`,
    )
    .action(async (options: MigrateOptions, command: Command) => {
      // Loaded only here: the database's and the queue's drivers are most of the command's weight.
      const { runMigrate } = await import("../local/run-migrate.ts");
      await runMigrate(open(command), options.passwordFile ?? []);
    });
};
