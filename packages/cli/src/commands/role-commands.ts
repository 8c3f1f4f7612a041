import type { Command } from "commander";
import { z } from "zod";
import {
  listAnswer,
  putRoleAnswer,
  rawAnswer,
  readAnswer,
  roleAnswer,
  roleTestAnswer,
  type RoleAnswer,
} from "../api/answers.ts";
import { configError } from "../cli-error.ts";
import { readRegisteredFile, roleFile } from "../files/registered-file.ts";
import { factLines, factsOf } from "../render/fact-lines.ts";
import type { Session } from "../session.ts";
import { table } from "../render/table.ts";
import { durationText } from "../render/time-text.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";
import {
  createOption,
  ifMatchOption,
  preconditionHeaders,
  type PreconditionOptions,
} from "./precondition-options.ts";
import { roleAddCommand } from "./role-add-command.ts";
import { rolePath } from "./role-path.ts";
import { showCheck } from "./show-check.ts";
import { switchCommands } from "./switch-commands.ts";

interface DeleteOptions extends PreconditionOptions {
  readonly yes?: true;
}

export const roleCommands: CommandSet = (program, open) => {
  const role = program.command("role").description("named shapes of credentials");
  role
    .command("list")
    .description("all roles")
    .addHelpText("after", examples("mayfly role list"))
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const { items } = rawAnswer(listAnswer, await session.api().get("/v1/roles"));
      if (session.json) return items.forEach((item) => session.record(item));
      const roles = items.map((item) => readAnswer(roleAnswer, item));
      if (session.onlyIds(roles.map((each) => each.role))) return;
      if (roles.length === 0) return session.note("No role.");
      const columns = [
        { title: "ROLE", cell: (each: RoleAnswer) => each.role },
        {
          title: "AT MOST",
          cell: (each: RoleAnswer) => durationText(each.ttl_max_seconds * 1_000),
        },
        {
          title: "ISSUES",
          cell: (each: RoleAnswer) => (each.enabled === false ? "disabled" : "yes"),
        },
        { title: "DATA", cell: (each: RoleAnswer) => each.data_class },
        { title: "REVERSIBILITY", cell: (each: RoleAnswer) => each.reversibility },
        { title: "ENVIRONMENT", cell: (each: RoleAnswer) => each.environment },
        { title: "DESCRIPTION", cell: (each: RoleAnswer) => each.description },
      ];
      session.text(table(columns, roles, session.paint));
    });
  lookCommands(role, open);
  roleAddCommand(role, open);
  changeCommands(role, open);
};

function changeCommands(role: Command, open: (command: Command) => Session): void {
  createOption(
    ifMatchOption(role.command("put").description("register roles, or change them, from files")),
  )
    .argument("<file...>", "roles/*.yaml")
    .addHelpText("after", examples("mayfly role put mayfly/roles/orders-db.yaml"))
    .action(async (files: string[], options: PreconditionOptions, command: Command) => {
      const session = open(command);
      const objects = files.flatMap((file) => readRegisteredFile(file, roleFile));
      const headers = preconditionHeaders(options, objects.length);
      const api = session.api();
      for (const { object, document } of objects) {
        const { role: name, ...members } = object;
        const body = z.record(z.string(), z.json()).safeParse(members);
        if (!body.success) throw configError("A member is not JSON.", document.placeOf([]));
        const answer = await api.send("PUT", rolePath(name), body.data, headers);
        if (session.json) session.record(answer);
        else session.note(`${readAnswer(putRoleAnswer, answer).result}  role ${name}`);
      }
    });
  switchCommands(role, open, {
    noun: "role",
    argument: "such as orders-db/reader",
    example: "orders-db/reader",
    enables: "issue from a role again",
    disables: "issue no more from a role; what it has issued ends as ever",
    pathOf: rolePath,
  });
  ifMatchOption(
    role.command("delete").description("forget a role; what was issued for it ends as ever"),
  )
    .argument("<role>", "such as orders-db/reader")
    .option("--yes", "do not ask")
    .addHelpText("after", examples("mayfly role delete orders-db/reader"))
    .action(async (name: string, options: DeleteOptions, command: Command) => {
      const session = open(command);
      const headers = preconditionHeaders(options);
      const path = rolePath(name);
      await session.confirm(
        [`deletes role ${name}: nothing is issued for it any more`],
        options.yes === true,
      );
      await session.api().send("DELETE", path, undefined, headers);
      if (session.json) session.record({ result: "deleted", role: name });
      else session.note(`deleted  role ${name}`);
    });
}

/** Of one role: how it stands, and whether it works. */
function lookCommands(role: Command, open: (command: Command) => Session): void {
  role
    .command("show")
    .description("one role")
    .argument("<role>", "such as orders-db/reader")
    .addHelpText("after", examples("mayfly role show orders-db/reader"))
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().get(rolePath(name));
      if (session.json) return session.record(answer);
      const { role: shown, ...facts } = readAnswer(z.looseObject(roleAnswer.shape), answer);
      const { paint } = session;
      session.detail(`${paint.bold(shown)}  ${facts.enabled === false ? "disabled" : "issues"}\n`);
      const known = z.record(z.string(), z.json()).parse(facts);
      session.detail(factLines(factsOf(known), paint));
    });
  role
    .command("test")
    .description("plan a sample, and prove that the backend can do what the role needs")
    .argument("<role>", "such as orders-db/reader")
    .addHelpText("after", examples("mayfly role test orders-db/reader"))
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().send("POST", `${rolePath(name)}/test`);
      const { check, sample } = readAnswer(roleTestAnswer, answer);
      if (check.problems.length > 0) session.found();
      if (session.json) return session.record(answer);
      const { paint } = session;
      if (sample.kind === "planned") {
        const length = durationText(sample.ttl_seconds * 1_000);
        session.detail(`${paint.dim(`would be asked of the backend, for ${length}`)}\n`);
        session.detail(factLines(factsOf(sample.grant), paint, "  "));
      } else {
        session.detail(`A request needs parameters: ${sample.why}\n`);
      }
      showCheck(session, check);
    });
}
