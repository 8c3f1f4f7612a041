import type { Command } from "commander";
import {
  listAnswer,
  rawAnswer,
  readAnswer,
  resultAnswer,
  trustAnswer,
  trustTestAnswer,
  type TrustAnswer,
} from "../api/answers.ts";
import { readRegisteredFile, trustFile } from "../files/registered-file.ts";
import { factLines, factsOf, summaryText } from "../render/fact-lines.ts";
import type { Session } from "../session.ts";
import { table } from "../render/table.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";
import {
  createOption,
  ifMatchOption,
  preconditionHeaders,
  type PreconditionOptions,
} from "./precondition-options.ts";
import { switchCommands } from "./switch-commands.ts";
import { trustAddCommand } from "./trust-add-command.ts";

const pathOf = (name: string): string => `/v1/trust/${encodeURIComponent(name)}`;

interface DeleteOptions extends PreconditionOptions {
  readonly yes?: true;
}

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
      if (session.onlyIds(roots.map((each) => each.name))) return;
      if (roots.length === 0) return session.note("No trust root: no identity is accepted.");
      const columns = [
        { title: "TRUST", cell: (each: TrustAnswer) => each.name },
        { title: "KIND", cell: (each: TrustAnswer) => each.kind },
        { title: "COUNTS", cell: (each: TrustAnswer) => (each.enabled ? "yes" : "disabled") },
        { title: "CONFIG", cell: (each: TrustAnswer) => summaryText(each.config, 80) },
      ];
      session.text(table(columns, roots, session.paint));
    });
  createOption(
    ifMatchOption(
      trust.command("put").description("register trust roots, or change them, from files"),
    ),
  )
    .argument("<file...>", "trust/*.yaml")
    .addHelpText("after", examples("mayfly trust put mayfly/trust/acme.test.yaml"))
    .action(async (files: string[], options: PreconditionOptions, command: Command) => {
      const session = open(command);
      const objects = files.flatMap((file) => readRegisteredFile(file, trustFile));
      const headers = preconditionHeaders(options, objects.length);
      const api = session.api();
      for (const { object } of objects) {
        const { trust: name, kind, config, enabled } = object;
        const body = { kind, config, ...(enabled === undefined ? {} : { enabled }) };
        const answer = await api.send("PUT", pathOf(name), body, headers);
        if (session.json) session.record(answer);
        else session.note(`${readAnswer(resultAnswer, answer).result}  trust ${name}`);
      }
    });
  trustAddCommand(trust, open);
  lookCommands(trust, open);
  switchCommands(trust, open, {
    noun: "trust",
    argument: "name of the trust root",
    example: "acme.test",
    enables: "accept identities of this root again",
    disables: "accept identities of this root no more, and keep it registered",
    pathOf,
  });
  ifMatchOption(trust.command("delete").description("accept identities of this root no more"))
    .argument("<trust>", "name of the trust root")
    .option("--yes", "do not ask")
    .addHelpText("after", examples("mayfly trust delete acme.test"))
    .action(async (name: string, options: DeleteOptions, command: Command) => {
      const session = open(command);
      const headers = preconditionHeaders(options);
      await session.confirm(
        [`deletes trust ${name}: its identities are refused`],
        options.yes === true,
      );
      await session.api().send("DELETE", pathOf(name), undefined, headers);
      if (session.json) session.record({ result: "deleted", trust: name });
      else session.note(`deleted  trust ${name}`);
    });
};

/** Of one trust root: how it stands, and whether its keys can be had. */
function lookCommands(trust: Command, open: (command: Command) => Session): void {
  trust
    .command("show")
    .description("one trust root")
    .argument("<trust>", "name of the trust root")
    .addHelpText("after", examples("mayfly trust show acme.test"))
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().get(pathOf(name));
      if (session.json) return session.record(answer);
      const root = readAnswer(trustAnswer, answer);
      const { paint } = session;
      session.detail(`${paint.bold(root.name)}  ${root.enabled ? "counts" : "disabled"}\n`);
      const revision = root.revision === undefined ? null : String(root.revision);
      session.detail(
        factLines(
          [
            ["kind", root.kind],
            ["revision", revision],
          ],
          paint,
        ),
      );
      session.detail(`${paint.dim("config")}\n${factLines(factsOf(root.config), paint, "  ")}`);
    });
  trust
    .command("test")
    .description("look at its keys: fetch them anew, or read the bundle")
    .argument("<trust>", "name of the trust root")
    .addHelpText("after", examples("mayfly trust test acme.test"))
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().send("POST", `${pathOf(name)}/test`);
      const look = readAnswer(trustTestAnswer, answer);
      if (look.problem !== null) session.found();
      if (session.json) return session.record(answer);
      const { paint } = session;
      const keys = look.keys.map(
        ({ kid, algorithms }) => `${kid ?? "-"} (${algorithms.join(", ")})`,
      );
      session.detail(
        factLines(
          [
            ["keys from", look.source],
            ["keys", keys.length === 0 ? "none" : keys.join(", ")],
            ["kept for", look.max_age_seconds === null ? null : `${look.max_age_seconds} s`],
          ],
          paint,
        ),
      );
      if (look.problem === null) session.detail(`${paint.green("✓")} its tokens can be verified\n`);
      else session.text(`${paint.red("✗")} ${look.problem}\n`);
    });
}
