import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { storeBootstrapTokenSha256 } from "@mayfly/postgres";
import { readMigrateSettings } from "@mayfly/settings";
import { mintAdminToken } from "../mint-admin-token.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";
import { printToken } from "./migrate-command.ts";

export const adminTokenCommands: CommandSet = (program, open) => {
  const adminToken = program
    .command("admin-token")
    .description("the bootstrap administrator's token");
  adminToken
    .command("rotate")
    .description("make a new one and print it once; the old one stops to work at once")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      `
Reads MAYFLY_DATABASE_URL, with the rights of \`mayfly migrate\`.
${examples("mayfly admin-token rotate", "mayfly admin-token rotate -q --yes > token")}`,
    )
    .action(async (options: { yes?: true }, command: Command) => {
      const session = open(command);
      const { io } = session;
      const settings = readMigrateSettings(io.environment, (path) => readFileSync(path, "utf8"));
      const plan = ["replaces the administrator's token: the old one stops to work at once"];
      await session.confirm(plan, options.yes === true);
      const { token, sha256 } = mintAdminToken(io.random);
      const url = settings.databaseUrl.expose("upstream");
      await storeBootstrapTokenSha256(url, sha256, "replace");
      if (session.json) session.record({ admin_token: token.expose("print-once") });
      else printToken(session, token);
    });
};
