import { Option, type Command } from "commander";
import { LEASE_STATES } from "@mayfly/spec";
import { eventAnswer, pageAnswer, readAnswer } from "../api/answers.ts";
import { instantOption } from "../api/instant-option.ts";
import { listAll, noteMore, parseLimit, type PageOptions } from "../api/list-all.ts";
import {
  holderAnswer,
  lateEndAnswer,
  policyUseAnswer,
  touchAnswer,
  workloadExposureAnswer,
  type HolderAnswer,
  type TouchAnswer,
  type WorkloadExposureAnswer,
} from "../api/security-answers.ts";
import { cleanText } from "../render/clean-text.ts";
import { exposureSummaryText } from "../render/end-report.ts";
import { factLines } from "../render/fact-lines.ts";
import { holderTable } from "../render/holder-table.ts";
import { lateTable, policyTable, touchTable } from "../render/question-tables.ts";
import { clockText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { showEvents } from "./event-commands.ts";
import { examples } from "./examples.ts";

interface RangeOptions extends PageOptions {
  readonly from?: string;
  readonly until?: string;
  readonly workload?: string;
}
interface HoldersOptions extends RangeOptions {
  readonly initiator?: string;
  readonly task?: string;
  readonly backend?: string;
  readonly role?: string;
  readonly state?: string;
}
type Open = (command: Command) => Session;

/** What security teams ask: one command for each question. */
export const askCommands: CommandSet = (program, open) => {
  const ask = program.command("ask").description("what security teams ask, a command a question");
  holdersCommand(ask, open);
  touchedCommand(ask, open);
  exposureCommand(ask, open);
  lateCommand(ask, open);
  policiesCommand(ask, open);
  changesCommand(ask, open);
};

const paged = (command: Command): Command =>
  command
    .option("--limit <n>", "at most so many", parseLimit, 100)
    .option("--after <place>", "go on where an earlier list ended")
    .option("--all", "to the end");
const inTime = (command: Command, what: string): Command =>
  command
    .option("--from <time>", `${what} since: an instant, or how long ago (7d)`)
    .option("--until <time>", `${what} before`);
const rangeOf = (session: Session, { from, until }: RangeOptions) => ({
  from: instantOption("--from", from, session.io.clock),
  until: instantOption("--until", until, session.io.clock),
});

function showHolders(session: Session, holders: readonly HolderAnswer[]): void {
  if (session.json) return;
  if (session.onlyIds(holders.map(({ lease }) => lease.id))) return;
  if (holders.length === 0) return session.note("Nobody.");
  session.text(holderTable(holders, session));
}

function holdersCommand(ask: Command, open: Open): void {
  const command = ask
    .command("holders")
    .description("who holds what now, on whose behalf, by which policy")
    .option("--workload <name>", "SPIFFE ID, or <issuer>#<subject>")
    .option("--initiator <name>", "on whose behalf, verified or claimed")
    .option("--task <task>", "id of the task")
    .option("--backend <backend>", "name of the backend")
    .option("--role <role>", "such as orders-db/reader")
    .addOption(new Option("--state <state>", "also ended ones").choices(LEASE_STATES));
  paged(inTime(command, "reserved"))
    .addHelpText(
      "after",
      examples("mayfly ask holders", "mayfly ask holders --initiator alice@acme.test"),
    )
    .action(async (options: HoldersOptions, ran: Command) => {
      const session = open(ran);
      const { workload, initiator, task, backend, role, state } = options;
      const query = { workload, initiator, task, backend, role, state };
      const listed = await listAll(
        session,
        session.api(),
        "/v1/ask/holders",
        { ...query, ...rangeOf(session, options) },
        options,
        holderAnswer,
      );
      showHolders(session, listed.items);
      noteMore(session, listed.next);
    });
}

const touchId = (touch: TouchAnswer): string =>
  touch.kind === "lease" ? touch.holder.lease.id : touch.decision;

function touchedCommand(ask: Command, open: Open): void {
  const command = ask
    .command("touched")
    .description("everything that a workload touched: its leases and its denials")
    .requiredOption("--workload <name>", "SPIFFE ID, or <issuer>#<subject>");
  paged(inTime(command, "asked for"))
    .addHelpText(
      "after",
      examples("mayfly ask touched --workload spiffe://acme.test/agent/invoice-bot --from 7d"),
    )
    .action(async (options: RangeOptions, ran: Command) => {
      const session = open(ran);
      const query = { workload: options.workload, ...rangeOf(session, options) };
      const api = session.api();
      const listed = await listAll(session, api, "/v1/ask/touched", query, options, touchAnswer);
      if (!session.json) {
        const ids = listed.items.map(touchId);
        if (listed.items.length === 0) {
          session.note("Nothing.");
          await noteUnknown(session, options.workload);
        } else if (!session.onlyIds(ids)) session.text(touchTable(listed.items, session));
      }
      noteMore(session, listed.next);
    });
}

function exposureCommand(ask: Command, open: Open): void {
  const command = ask
    .command("exposure")
    .description("what is still exposed if a workload is compromised, until when and why")
    .requiredOption("--workload <name>", "SPIFFE ID, or <issuer>#<subject>")
    .option("--limit <n>", "at most so many leases", parseLimit, 100)
    .option("--after <place>", "go on where an earlier list ended");
  command
    .addHelpText(
      "after",
      examples("mayfly ask exposure --workload spiffe://acme.test/agent/invoice-bot"),
    )
    .action(async (options: RangeOptions, ran: Command) => {
      const session = open(ran);
      const limit = String(Math.min(1000, options.limit ?? 100));
      const query = { workload: options.workload, limit, after: options.after };
      const answer = await session.api().get("/v1/ask/exposure", query);
      if (session.json) return session.record(answer);
      const { tasks_active: tasks } = showExposure(session, answer);
      if (tasks === 0) await noteUnknown(session, options.workload);
    });
}

/** Workloads are registered nowhere: of a mistyped one nothing is exposed, and that comforts. */
async function noteUnknown(session: Session, workload = ""): Promise<void> {
  if (session.quiet) return;
  const query = { workload, limit: "1" };
  // The answer is out and whole: what only adds to it fails nothing.
  const tasks = await session
    .api()
    .get("/v1/tasks", query)
    .catch(() => null);
  if (tasks === null || readAnswer(pageAnswer, tasks).items.length > 0) return;
  session.note(
    `The ledger has no task of ${cleanText(workload)}. mayfly task list shows how workloads are written.`,
  );
}

function showExposure(session: Session, answer: unknown): WorkloadExposureAnswer {
  const { io, paint } = session;
  const found = readAnswer(workloadExposureAnswer, answer);
  const until =
    found.tasks_until === null
      ? ""
      : `, the last until ${clockText(found.tasks_until, io.clock.now(), io.timeZone)}`;
  session.detail(
    factLines(
      [
        ["workload", found.workload],
        ["exposed", exposureSummaryText(found.leases, session)],
        ["below", exposureSummaryText(found.below, session)],
        [
          "tasks",
          found.tasks_active === 0 ? "none active" : `${found.tasks_active} active${until}`,
        ],
        ["may draw", found.may_draw.length === 0 ? "nothing more" : found.may_draw.join(", ")],
      ],
      paint,
    ),
  );
  if (found.items.length > 0) showHolders(session, found.items);
  if (found.leases.leases + found.below.leases + found.tasks_active > 0) {
    session.note(`End it: mayfly task kill --workload ${found.workload}`);
  }
  noteMore(session, found.next);
  return found;
}

interface LateOptions extends RangeOptions {
  readonly over: string;
  readonly backend?: string;
}

function lateCommand(ask: Command, open: Open): void {
  const command = ask
    .command("late")
    .description("which leases ended late or are late now, by how much and why")
    .option("--over <duration>", "later than this after they were due", "30s")
    .option("--workload <name>", "SPIFFE ID, or <issuer>#<subject>")
    .option("--backend <backend>", "name of the backend");
  paged(inTime(command, "due"))
    .addHelpText("after", examples("mayfly ask late", "mayfly ask late --over 5m --from 30d"))
    .action(async (options: LateOptions, ran: Command) => {
      const session = open(ran);
      const { over, workload, backend } = options;
      const query = { over, workload, backend, ...rangeOf(session, options) };
      const api = session.api();
      const listed = await listAll(session, api, "/v1/ask/late", query, options, lateEndAnswer);
      if (!session.json) {
        if (listed.items.length === 0) session.note("None.");
        else if (!session.onlyIds(listed.items.map(({ lease }) => lease.id))) {
          session.text(lateTable(listed.items, session));
        }
      }
      noteMore(session, listed.next);
    });
}

function policiesCommand(ask: Command, open: Open): void {
  ask
    .command("policies")
    .description("which policies of the active set never permitted, or never decided, anything")
    .addHelpText("after", examples("mayfly ask policies"))
    .action(async (_options: object, ran: Command) => {
      const session = open(ran);
      const answer = await session.api().get("/v1/ask/policies");
      if (session.json) return session.record(answer);
      const use = readAnswer(policyUseAnswer, answer);
      if (use.digest === null) return session.note("No policies are active.");
      const { io } = session;
      const since =
        use.activated_at === null
          ? ""
          : ` since ${clockText(use.activated_at, io.clock.now(), io.timeZone)}`;
      session.note(`policies@${use.digest.slice(0, 8)}${since}`);
      if (session.onlyIds(use.policies.map(({ id }) => id))) return;
      session.text(policyTable(use.policies, session));
      if (use.uncounted > 0) session.note(`${use.uncounted} entries of the log are to be counted.`);
    });
}

function changesCommand(ask: Command, open: Open): void {
  const command = ask
    .command("changes")
    .description("what changed in the configuration, and who did it")
    .option("--by <name>", "name of the administrator");
  paged(inTime(command, "changed"))
    .addHelpText("after", examples("mayfly ask changes --from 7d"))
    .action(async (options: RangeOptions & { readonly by?: string }, ran: Command) => {
      const session = open(ran);
      const query = { by: options.by, ...rangeOf(session, options) };
      const api = session.api();
      const listed = await listAll(session, api, "/v1/ask/changes", query, options, eventAnswer);
      if (!session.json) showEvents(session, listed.items);
      noteMore(session, listed.next);
    });
}
