import type { Command } from "commander";
import {
  listAnswer,
  rawAnswer,
  readAnswer,
  resultAnswer,
  trustAnswer,
  type TrustAnswer,
} from "../api/answers.ts";
import { readRegisteredFile, trustFile } from "../files/registered-file.ts";
import { summaryText } from "../render/fact-lines.ts";
import { table } from "../render/table.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

const pathOf = (name: string): string => `/v1/trust/${encodeURIComponent(name)}`;

export const trustCommands: CommandSet = (program, open) => {
  const trust = program.command("trust").description("whose identities count");
  trust
    .command("list")
    .description("all trust roots")
    .addHelpText("after", examples("mayfly trust list"))
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const { items } = rawAnswer(listAnswer, await session.api().get("/v1/trust"));
      if (session.json) return items.forEach((item) => session.record(item));
      const roots = items.map((item) => readAnswer(trustAnswer, item));
      if (session.quiet) return session.text(roots.map((each) => `${each.name}\n`).join(""));
      if (roots.length === 0) return session.note("No trust root: no identity is accepted.");
      const columns = [
        { title: "TRUST", cell: (each: TrustAnswer) => each.name },
        { title: "KIND", cell: (each: TrustAnswer) => each.kind },
        { title: "COUNTS", cell: (each: TrustAnswer) => (each.enabled ? "yes" : "disabled") },
        { title: "CONFIG", cell: (each: TrustAnswer) => summaryText(each.config, 80) },
      ];
      session.text(table(columns, roots, session.paint));
    });
  trust
    .command("put")
    .description("register trust roots, or change them, from files")
    .argument("<file...>", "trust/*.yaml")
    .addHelpText("after", examples("mayfly trust put mayfly/trust/acme.test.yaml"))
    .action(async (files: string[], _options: object, command: Command) => {
      const session = open(command);
      const objects = files.flatMap((file) => readRegisteredFile(file, trustFile));
      const api = session.api();
      for (const { object } of objects) {
        const { trust: name, kind, config, enabled } = object;
        const body = { kind, config, ...(enabled === undefined ? {} : { enabled }) };
        const answer = await api.send("PUT", pathOf(name), body);
        if (session.json) session.record(answer);
        else session.note(`${readAnswer(resultAnswer, answer).result}  trust ${name}`);
      }
    });
  trust
    .command("delete")
    .description("accept identities of this root no more")
    .argument("<trust>", "name of the trust root")
    .option("--yes", "do not ask")
    .addHelpText("after", examples("mayfly trust delete acme.test"))
    .action(async (name: string, options: { yes?: true }, command: Command) => {
      const session = open(command);
      await session.confirm(
        [`deletes trust ${name}: its identities are refused`],
        options.yes === true,
      );
      await session.api().send("DELETE", pathOf(name));
      if (session.json) session.record({ result: "deleted", trust: name });
      else session.note(`deleted  trust ${name}`);
    });
};
