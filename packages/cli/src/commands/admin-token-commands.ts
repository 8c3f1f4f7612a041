import type { Command } from "commander";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

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
      const { rotateAdminToken } = await import("../local/rotate-admin-token.ts");
      await rotateAdminToken(open(command), options.yes === true);
    });
};
