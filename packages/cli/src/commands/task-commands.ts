import { Option, type Command } from "commander";
import { TASK_STATES } from "@mayfly/spec";
import {
  chainAnswer,
  endedTaskAnswer,
  readAnswer,
  taskAnswer,
  type TaskAnswer,
} from "../api/answers.ts";
import { instantOption } from "../api/instant-option.ts";
import { listAll, noteMore, parseLimit, type PageOptions } from "../api/list-all.ts";
import { table } from "../render/table.ts";
import { taskTree } from "../render/task-tree.ts";
import { relativeText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";
import { showLeases } from "./lease-commands.ts";
import { byIds, endSelected, withSelector, type SelectorOptions } from "./selector-options.ts";

interface ListOptions extends PageOptions {
  readonly workload?: string;
  readonly initiator?: string;
  readonly ref?: string;
  readonly state?: string;
  readonly parent?: string;
  readonly from?: string;
  readonly until?: string;
}
interface EndOptions {
  readonly as?: string;
  readonly reason?: string;
  readonly wait: string;
  readonly yes?: true;
}

/** State to end in, and the API's verb for it. */
const VERBS: Readonly<Record<string, string>> = {
  completed: "complete",
  failed: "fail",
  cancelled: "cancel",
};

export const taskCommands: CommandSet = (program, open) => {
  const task = program.command("task").description("pieces of work, and how each ended");
  listCommand(task, open);
  task
    .command("show")
    .description("the whole story of a task: decisions, leases, child tasks, events")
    .argument("<task>", "id of the task")
    .addHelpText("after", examples("mayfly task show task_0199…"))
    .action(async (id: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().get(`/v1/tasks/${encodeURIComponent(id)}/chain`);
      if (session.json) session.record(answer);
      else session.detail(taskTree(readAnswer(chainAnswer, answer), session));
    });
  task
    .command("end")
    .description("end tasks and everything below them; their credentials stop to work")
    .argument("<task...>", "ids of tasks")
    .addOption(
      new Option("--as <state>", "how it ended").choices(Object.keys(VERBS)).default("cancelled"),
    )
    .option("--reason <text>", "for the ledger")
    .option("--wait <duration>", "how long to wait for the leases to end, at most 60s", "10s")
    .option("--yes", "do not ask")
    .addHelpText("after", examples("mayfly task end task_0199… --as failed --wait 30s"))
    .action((ids: string[], options: EndOptions, command: Command) =>
      endTasks(open(command), ids, VERBS[options.as ?? ""] ?? "cancel", options),
    );
  killCommand(task, open);
};

function killCommand(task: Command, open: (command: Command) => Session): void {
  const kill = task
    .command("kill")
    .description("kill tasks, by id or all that is selected, and everything below them")
    .argument("[task...]", "ids of tasks");
  withSelector(kill)
    .option("--reason <text>", "for the ledger")
    .option("--wait <duration>", "how long to wait for the leases to end, at most 60s", "10s")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      examples(
        'mayfly task kill task_0199… --reason "agent compromised"',
        "mayfly task kill --workload spiffe://acme.test/agent/invoice-bot --dry-run",
        "mayfly task kill --trust-domain acme.test --look 10s --yes",
      ),
    )
    .action((ids: string[], options: SelectorOptions, command: Command) => {
      const session = open(command);
      return byIds(ids, options, "tasks")
        ? endTasks(session, ids, "kill", options)
        : endSelected(session, "/v1/tasks/kill", options);
    });
}

function listCommand(task: Command, open: (command: Command) => Session): void {
  task
    .command("list")
    .description("tasks, newest first, by any of these filters together")
    .option("--workload <name>", "SPIFFE ID, or <issuer>#<subject>")
    .option("--initiator <name>", "on whose behalf, verified or claimed")
    .option("--ref <text>", "the client's own reference")
    .addOption(new Option("--state <state>", "where its life stands").choices(TASK_STATES))
    .option("--parent <task>", "child tasks of this one")
    .option("--from <time>", "opened since: an instant, or how long ago (7d)")
    .option("--until <time>", "opened before")
    .option("--limit <n>", "at most so many", parseLimit, 100)
    .option("--after <place>", "go on where an earlier list ended")
    .option("--all", "to the end")
    .addHelpText(
      "after",
      examples("mayfly task list --state active", "mayfly task list --ref JIRA-4711 --json"),
    )
    .action(async (options: ListOptions, command: Command) => {
      const session = open(command);
      const { clock } = session.io;
      const query = {
        workload: options.workload,
        initiator: options.initiator,
        ref: options.ref,
        state: options.state,
        parent: options.parent,
        from: instantOption("--from", options.from, clock),
        until: instantOption("--until", options.until, clock),
      };
      const listed = await listAll(session, session.api(), "/v1/tasks", query, options, taskAnswer);
      if (!session.json) showTasks(session, listed.items);
      noteMore(session, listed.next);
    });
}

function showTasks(session: Session, tasks: readonly TaskAnswer[]): void {
  const { paint, io } = session;
  if (session.onlyIds(tasks.map(({ id }) => id))) return;
  if (tasks.length === 0) return session.note("No task.");
  const columns = [
    { title: "TASK", cell: (task: TaskAnswer) => task.id },
    { title: "WORKLOAD", cell: (task: TaskAnswer) => task.workload },
    { title: "STATE", cell: (task: TaskAnswer) => task.state },
    {
      title: "OPENED",
      cell: (task: TaskAnswer) => relativeText(task.opened_at, io.clock.now()),
    },
    {
      title: "ENDS",
      cell: (task: TaskAnswer) => relativeText(task.ended_at ?? task.deadline, io.clock.now()),
    },
    {
      title: "GOAL",
      cell: (task: TaskAnswer) => (task.ref === null ? task.goal : `${task.goal}  (${task.ref})`),
    },
  ];
  session.text(table(columns, tasks, paint));
}

async function endTasks(
  session: Session,
  ids: readonly string[],
  verb: string,
  options: EndOptions,
): Promise<void> {
  const api = session.api();
  const before: TaskAnswer[] = [];
  for (const id of ids) {
    const answer = await api.get(`/v1/tasks/${encodeURIComponent(id)}`);
    before.push(readAnswer(taskAnswer, answer));
  }
  const plan = before.map((task) => {
    const what = `${task.id} of ${task.workload}: ${task.goal}`;
    return task.state === "active" ? `${verb}s ${what}` : `${task.id} is ${task.state} already`;
  });
  await session.confirm([...plan, "and every task and lease below"], options.yes === true);
  for (const { id } of before) {
    const answer = await api.send("POST", `/v1/tasks/${id}/${verb}`, {
      wait: options.wait,
      ...(options.reason === undefined ? {} : { reason: options.reason }),
    });
    if (session.json) {
      session.record(answer);
      continue;
    }
    const { task, leases } = readAnswer(endedTaskAnswer, answer);
    session.note(`${task.id}  ${task.state}`);
    showLeases(session, leases);
  }
}
