import type { Command } from "commander";
import {
  backendAnswer,
  checkAnswer,
  listAnswer,
  putBackendAnswer,
  rawAnswer,
  readAnswer,
  type BackendAnswer,
} from "../api/answers.ts";
import { backendFile, readRegisteredFile } from "../files/registered-file.ts";
import { resolveReferences } from "../files/secret-references.ts";
import { newBackend } from "../local/new-backend.ts";
import { factLines, factsOf } from "../render/fact-lines.ts";
import { table } from "../render/table.ts";
import { relativeText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import { backendAddCommand } from "./backend-add-command.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";
import {
  createOption,
  ifMatchOption,
  preconditionHeaders,
  type PreconditionOptions,
} from "./precondition-options.ts";
import { showCheck } from "./show-check.ts";
import { switchCommands } from "./switch-commands.ts";

type Open = (command: Command) => Session;
interface DeleteOptions extends PreconditionOptions {
  readonly yes?: true;
}
const pathOf = (id: string): string => `/v1/backends/${encodeURIComponent(id)}`;

export const backendCommands: CommandSet = (program, open) => {
  const backend = program.command("backend").description("places that credentials come from");
  readCommands(backend, open);
  backendAddCommand(backend, open);
  changeCommands(backend, open);
  rotateCommand(backend, open);
  newCommand(backend, open);
};

function readCommands(backend: Command, open: Open): void {
  backend
    .command("list")
    .description("all backends")
    .addHelpText("after", examples("mayfly backend list"))
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const { items } = rawAnswer(listAnswer, await session.api().get("/v1/backends"));
      if (session.json) return items.forEach((item) => session.record(item));
      showBackends(
        session,
        items.map((item) => readAnswer(backendAnswer, item)),
      );
    });
  backend
    .command("show")
    .description("one backend, its configuration without secrets")
    .argument("<backend>", "name of the backend")
    .addHelpText("after", examples("mayfly backend show orders-db"))
    .action(async (id: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().get(pathOf(id));
      if (session.json) session.record(answer);
      else showBackend(session, readAnswer(backendAnswer, answer));
    });
  backend
    .command("test")
    .description("prove, harmlessly, that a backend can do what its leases need")
    .argument("<backend>", "name of the backend")
    .addHelpText("after", examples("mayfly backend test orders-db"))
    .action(async (id: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().send("POST", `${pathOf(id)}/test`);
      const check = readAnswer(checkAnswer, answer);
      if (check.problems.length > 0) session.found();
      if (session.json) session.record(answer);
      else showCheck(session, check);
    });
}

function rotateCommand(backend: Command, open: Open): void {
  backend
    .command("rotate")
    .description("replace the secret by which the broker itself logs in at a backend")
    .argument("<backend>", "name of the backend")
    .addHelpText(
      "after",
      `
The new secret is made by the broker and shown to nobody; a file with the old one is refused then.
Where it broke off, run it again: it goes on where it was.
${examples("mayfly backend rotate orders-db")}`,
    )
    .action(async (id: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().send("POST", `${pathOf(id)}/rotate`);
      if (session.json) {
        session.record(answer);
        return;
      }
      session.note(`rotated  backend ${id}`);
      showCheck(session, readAnswer(putBackendAnswer, answer).check);
    });
}

function changeCommands(backend: Command, open: Open): void {
  createOption(
    ifMatchOption(
      backend.command("put").description("register backends, or change them, from files"),
    ),
  )
    .argument("<file...>", "backends/*.yaml")
    .addHelpText(
      "after",
      `
A secret in config is written { from: env:NAME }, { from: file:PATH } or { from: stdin }.
${examples("mayfly backend put mayfly/backends/orders-db.yaml")}`,
    )
    .action(async (files: string[], options: PreconditionOptions, command: Command) => {
      const session = open(command);
      const objects = files.flatMap((file) => readRegisteredFile(file, backendFile));
      const headers = preconditionHeaders(options, objects.length);
      const api = session.api();
      for (const { object, document } of objects) {
        const { backend: id, type, enabled } = object;
        const config = await resolveReferences(object.config, document, session.io);
        const body = { type, config, ...(enabled === undefined ? {} : { enabled }) };
        const answer = await api.send("PUT", pathOf(id), body, headers);
        if (session.json) {
          session.record(answer);
          continue;
        }
        const { result, check } = readAnswer(putBackendAnswer, answer);
        session.note(`${result}  backend ${id}`);
        showCheck(session, check);
      }
    });
  switchCommands(backend, open, {
    noun: "backend",
    argument: "name of the backend",
    example: "orders-db",
    enables: "issue from a backend again",
    disables: "issue no more from a backend; what it has issued ends as ever",
    pathOf,
  });
  ifMatchOption(backend.command("delete").description("forget a backend that has no live lease"))
    .argument("<backend>", "name of the backend")
    .option("--yes", "do not ask")
    .addHelpText("after", examples("mayfly backend delete orders-db"))
    .action(async (id: string, options: DeleteOptions, command: Command) => {
      const session = open(command);
      const headers = preconditionHeaders(options);
      await session.confirm(
        [`deletes backend ${id}: nothing is issued from it any more`],
        options.yes === true,
      );
      await session.api().send("DELETE", pathOf(id), undefined, headers);
      if (session.json) session.record({ result: "deleted", backend: id });
      else session.note(`deleted  backend ${id}`);
    });
}

function newCommand(backend: Command, open: Open): void {
  backend
    .command("new")
    .description("write the package of a new type of backend; in a checkout of Mayfly")
    .argument("<name>", "what the type is called")
    .option("--into <folder>", "where the package goes", "packages")
    .addHelpText(
      "after",
      `
It is a complete type over a fake of an API, and passes the contract suite as it is. With --into,
its page is put beside it; docs/backend-kit.md says how to go on.
${examples("mayfly backend new billing --into tried")}`,
    )
    .action(async (name: string, options: { readonly into: string }, command: Command) => {
      const session = open(command);
      const made = await newBackend(name, process.cwd(), options.into);
      if (session.json) return session.record({ result: "created", ...made });
      session.note(`created  ${made.folder}\ncreated  ${made.page}`);
      session.detail(made.next.map((step, nth) => `${nth + 1}. ${step}\n`).join(""));
    });
}

function showBackends(session: Session, backends: readonly BackendAnswer[]): void {
  const { paint, io } = session;
  if (session.onlyIds(backends.map(({ id }) => id))) return;
  if (backends.length === 0) return session.note("No backend.");
  const columns = [
    { title: "BACKEND", cell: (each: BackendAnswer) => each.id },
    { title: "TYPE", cell: (each: BackendAnswer) => each.type },
    {
      title: "ISSUES",
      cell: (each: BackendAnswer) => (each.enabled ? "yes" : "disabled"),
      colour: (text: string, each: BackendAnswer) => (each.enabled ? text : paint.yellow(text)),
    },
    { title: "REVISION", cell: (each: BackendAnswer) => String(each.revision) },
    {
      title: "CHANGED",
      cell: (each: BackendAnswer) => relativeText(each.updated_at, io.clock.now()),
    },
    { title: "UPSTREAM", cell: (each: BackendAnswer) => each.upstream_identity },
  ];
  session.text(table(columns, backends, paint));
}

function showBackend(session: Session, backend: BackendAnswer): void {
  const { paint } = session;
  session.detail(`${paint.bold(backend.id)}  ${backend.enabled ? "issues" : "disabled"}\n`);
  const facts = [
    ["type", backend.type],
    ["revision", String(backend.revision)],
    ["upstream", backend.upstream_identity],
    ["self-check", lastCheckText(session, backend)],
  ] as const;
  session.detail(factLines(facts, paint));
  session.detail(`${paint.dim("config")}\n${factLines(factsOf(backend.config), paint, "  ")}`);
}

function lastCheckText(session: Session, { last_check: last, revision }: BackendAnswer): string {
  if (last === undefined || last === null) return "none kept; mayfly backend test";
  const when = relativeText(last.checked_at, session.io.clock.now());
  const of = last.revision === revision ? "" : `, of revision ${last.revision}`;
  const problems = (last.check?.problems ?? []).map(({ code }) => code).join(", ");
  const said = last.error ?? (problems === "" ? "no problem" : problems);
  return `${said} (${when}${of})`;
}
