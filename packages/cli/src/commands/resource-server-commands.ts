import type { Command } from "commander";
import type { Json, JsonObject } from "@mayfly/spec";
import {
  listAnswer,
  rawAnswer,
  readAnswer,
  resourceServerAnswer,
  resultAnswer,
  type ResourceServerAnswer,
} from "../api/answers.ts";
import { readRegisteredFile, resourceServerFile } from "../files/registered-file.ts";
import { factLines } from "../render/fact-lines.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";
import {
  createOption,
  ifMatchOption,
  preconditionHeaders,
  type PreconditionOptions,
} from "./precondition-options.ts";
import { switchCommands } from "./switch-commands.ts";

const NOUN = "resource-server";
const ARGUMENT = "name of the resource server";
const pathOf = (name: string): string => `/v1/resource-servers/${encodeURIComponent(name)}`;
const identityText = (identity: ResourceServerAnswer["identities"][number]): string =>
  "spiffe_id" in identity ? identity.spiffe_id : `${identity.issuer}#${identity.subject}`;

const taskTokensText = ({ task_tokens: of }: ResourceServerAnswer): string =>
  of === "all" ? "all" : of.join(", ");

interface DeleteOptions extends PreconditionOptions {
  readonly yes?: true;
}

export const resourceServerCommands: CommandSet = (program, open) => {
  const servers = program.command(NOUN).description("servers that may introspect tokens");
  listCommand(servers, open);
  createOption(
    ifMatchOption(
      servers.command("put").description("register resource servers, or change them, from files"),
    ),
  )
    .argument("<file...>", "resource-servers/*.yaml")
    .addHelpText(
      "after",
      examples("mayfly resource-server put mayfly/resource-servers/reports.yaml"),
    )
    .action(async (files: string[], options: PreconditionOptions, command: Command) => {
      const session = open(command);
      const objects = files.flatMap((file) => readRegisteredFile(file, resourceServerFile));
      const headers = preconditionHeaders(options, objects.length);
      const api = session.api();
      for (const { object } of objects) {
        const { resource_server: name, identities, ...rest } = object;
        const body = { identities, ...given(rest) };
        const answer = await api.send("PUT", pathOf(name), body, headers);
        if (session.json) session.record(answer);
        else session.note(`${readAnswer(resultAnswer, answer).result}  ${NOUN} ${name}`);
      }
    });
  showCommand(servers, open);
  switchCommands(servers, open, {
    noun: NOUN,
    argument: ARGUMENT,
    example: "reports-api",
    enables: "let it introspect again",
    disables: "tell it nothing any more, and keep it registered",
    pathOf,
  });
  ifMatchOption(servers.command("delete").description("tell it nothing any more"))
    .argument(`<${NOUN}>`, ARGUMENT)
    .option("--yes", "do not ask")
    .addHelpText("after", examples("mayfly resource-server delete reports-api"))
    .action(async (name: string, options: DeleteOptions, command: Command) => {
      const session = open(command);
      const headers = preconditionHeaders(options);
      const told = `deletes ${NOUN} ${name}: it is told of no token that it counts`;
      await session.confirm([told], options.yes === true);
      await session.api().send("DELETE", pathOf(name), undefined, headers);
      if (session.json) session.record({ result: "deleted", resource_server: name });
      else session.note(`deleted  ${NOUN} ${name}`);
    });
};

/** What stands in the file, and nothing of what does not. */
function given(members: Readonly<Record<string, Json | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(members).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

function listCommand(servers: Command, open: (command: Command) => Session): void {
  servers
    .command("list")
    .description("all resource servers")
    .addHelpText("after", examples("mayfly resource-server list"))
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const { items } = rawAnswer(listAnswer, await session.api().get("/v1/resource-servers"));
      if (session.json) return items.forEach((item) => session.record(item));
      const all = items.map((item) => readAnswer(resourceServerAnswer, item));
      if (session.onlyIds(all.map(({ name }) => name))) return;
      if (all.length === 0) return session.note("No resource server.");
      const columns = [
        { title: "SERVER", cell: (each: ResourceServerAnswer) => each.name },
        {
          title: "COUNTS",
          cell: (each: ResourceServerAnswer) => (each.enabled ? "yes" : "disabled"),
        },
        {
          title: "IS",
          cell: (each: ResourceServerAnswer) => each.identities.map(identityText).join(", "),
        },
        { title: "AUDIENCES", cell: (each: ResourceServerAnswer) => each.audiences.join(", ") },
        { title: "TASKS OF", cell: taskTokensText },
      ];
      session.text(table(columns, all, session.paint));
    });
}

function showCommand(servers: Command, open: (command: Command) => Session): void {
  servers
    .command("show")
    .description("one resource server")
    .argument(`<${NOUN}>`, ARGUMENT)
    .addHelpText("after", examples("mayfly resource-server show reports-api"))
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().get(pathOf(name));
      if (session.json) return session.record(answer);
      const server = readAnswer(resourceServerAnswer, answer);
      const { paint } = session;
      session.detail(`${paint.bold(server.name)}  ${server.enabled ? "counts" : "disabled"}\n`);
      const facts = [
        ["description", server.description === "" ? null : server.description],
        ["revision", String(server.revision)],
        ["is", server.identities.map(identityText).join(", ")],
        ["task tokens of", taskTokensText(server) || "none"],
        ["audiences", server.audiences.length === 0 ? "none" : server.audiences.join(", ")],
      ] as const;
      session.detail(factLines(facts, paint));
    });
}
