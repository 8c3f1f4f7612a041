import type { Command } from "commander";
import { z } from "zod";
import { readAnswer } from "../api/answers.ts";
import { usageError } from "../cli-error.ts";
import { table } from "../render/table.ts";
import { clockText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

const keysAnswer = z.object({
  items: z.array(
    z.object({
      kid: z.string(),
      state: z.string(),
      created_at: z.string(),
      signs_from: z.string(),
      verifies_until: z.string().nullable(),
    }),
  ),
});
const rotatedAnswer = z.object({ result: z.string(), kid: z.string(), signs_from: z.string() });
const retiredAnswer = z.object({
  result: z.string(),
  kid: z.string(),
  replaced_by: z.string().nullable(),
  tasks_active: z.number().optional(),
});

const STATES: Readonly<Record<string, string>> = {
  next: "signs next",
  signs: "signs",
  verifies: "verifies what it signed",
  retired: "retired",
};

const OF_BACKEND = "of a backend that signs what it issues; default: of task tokens";
interface OfBackend {
  readonly backend?: string;
}
type RetireOptions = OfBackend & { readonly yes?: true };

const pathOf = ({ backend }: OfBackend): string =>
  backend === undefined
    ? "/v1/signing-keys"
    : `/v1/backends/${encodeURIComponent(backend)}/signing-keys`;

const TASK_TOKENS_PLAN = (kid: string): string[] => [
  `no task token that ${kid} signed is accepted any more, 5 seconds from now at the latest`,
  "tasks and leases live on; agents have to prove their identity again",
];
const BACKEND_PLAN = (kid: string): string[] => [
  `introspection says inactive of what ${kid} signed, 5 seconds from now at the latest`,
  "APIs that verify by themselves refuse it once they fetch the keys anew, within minutes",
  "leases live on; agents have to draw another token",
];

export const signingKeyCommands: CommandSet = (program, open) => {
  const key = program
    .command("signing-key")
    .description("the keys that sign task tokens, or the tokens that a backend issues");
  key
    .command("list")
    .description("the keys, newest first")
    .option("--backend <backend>", OF_BACKEND)
    .addHelpText(
      "after",
      examples("mayfly signing-key list", "mayfly signing-key list --backend orders-api"),
    )
    .action(async (options: OfBackend, command: Command) => {
      const session = open(command);
      const { items } = readAnswer(keysAnswer, await session.api().get(pathOf(options)));
      if (session.json) return items.forEach((item) => session.record(item));
      if (session.onlyIds(items.map(({ kid }) => kid))) return;
      showKeys(session, items);
    });
  key
    .command("rotate")
    .description("publish the next key now instead of when it is due; no valid token is refused")
    .option("--backend <backend>", OF_BACKEND)
    .addHelpText(
      "after",
      examples("mayfly signing-key rotate", "mayfly signing-key rotate --backend orders-api"),
    )
    .action(async (options: OfBackend, command: Command) => {
      const session = open(command);
      const answer = await session.api().send("POST", `${pathOf(options)}/rotate`);
      const rotated = readAnswer(rotatedAnswer, answer);
      if (session.json) return session.record(rotated);
      if (session.onlyIds([rotated.kid])) return;
      const was = rotated.result === "already" ? " was published before and" : "";
      session.text(`${rotated.kid}${was} signs from ${timeOf(session, rotated.signs_from)} on\n`);
    });
  addRetire(key, open);
};

function addRetire(key: Command, open: (command: Command) => Session): void {
  key
    .command("retire <kid>")
    .description("stop trusting a key that leaked, at once; another one signs from then on")
    .option("--backend <backend>", OF_BACKEND)
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      `
Tasks and leases live on. Who holds a task token of that key is refused, proves its identity with
the task's id and gets a new one: docs/runbooks/signing-key-rotation.md.
${examples("mayfly signing-key retire Zm9v…", "mayfly signing-key retire Zm9v… --yes --json")}`,
    )
    .action(async (kid: string, options: RetireOptions, command: Command) => {
      const session = open(command);
      if (!/^[A-Za-z0-9_-]{1,64}$/.test(kid)) {
        throw usageError("That is no id of a key.", "See: mayfly signing-key list", "kid");
      }
      const plan = options.backend === undefined ? TASK_TOKENS_PLAN : BACKEND_PLAN;
      await session.confirm(plan(kid), options.yes === true);
      const answer = await session.api().send("POST", `${pathOf(options)}/${kid}/retire`);
      const retired = readAnswer(retiredAnswer, answer);
      if (session.json) return session.record(retired);
      if (retired.result === "already") return session.detail(`${kid} was retired before\n`);
      session.detail(`${kid} is retired; ${retired.replaced_by ?? "another key"} signs now\n`);
      if (retired.tasks_active === undefined) return;
      session.note(`${retired.tasks_active} active tasks: their agents prove their identity again`);
    });
}

const timeOf = (session: Session, at: string): string =>
  clockText(at, session.io.clock.now(), session.io.timeZone);

type KeyAnswer = z.output<typeof keysAnswer>["items"][number];
function showKeys(session: Session, items: readonly KeyAnswer[]): void {
  const text = table(
    [
      { title: "KEY", cell: (item) => item.kid },
      { title: "STATE", cell: (item) => STATES[item.state] ?? item.state },
      { title: "SIGNS FROM", cell: (item) => timeOf(session, item.signs_from) },
      {
        title: "VERIFIES UNTIL",
        cell: (item) => (item.verifies_until === null ? "" : timeOf(session, item.verifies_until)),
      },
    ],
    items,
    session.paint,
  );
  session.text(text);
}
