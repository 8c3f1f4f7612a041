import { Option, type Command } from "commander";
import { LEASE_STATES } from "@mayfly/spec";
import { leaseAnswer, readAnswer, type LeaseAnswer } from "../api/answers.ts";
import { instantOption } from "../api/instant-option.ts";
import { listAll, noteMore, parseLimit, type PageOptions } from "../api/list-all.ts";
import { endsText, exposureText, stateText } from "../render/exposure-text.ts";
import { factLines, factsOf } from "../render/fact-lines.ts";
import { leaseTable } from "../render/lease-table.ts";
import { clockSecondsText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";
import { byIds, endSelected, withSelector, type SelectorOptions } from "./selector-options.ts";

interface ListOptions extends PageOptions {
  readonly exposed?: boolean;
  readonly workload?: string;
  readonly initiator?: string;
  readonly task?: string;
  readonly backend?: string;
  readonly role?: string;
  readonly state?: string;
  readonly fingerprint?: string;
  readonly from?: string;
  readonly until?: string;
}

export const leaseCommands: CommandSet = (program, open) => {
  const lease = program.command("lease").description("the life of each credential");
  listCommand(lease, open);
  lease
    .command("show")
    .description("all that the ledger knows of one lease")
    .argument("<lease>", "id of the lease")
    .addHelpText("after", examples("mayfly lease show lease_0199…"))
    .action(async (id: string, _options: object, command: Command) => {
      const session = open(command);
      const answer = await session.api().get(`/v1/leases/${encodeURIComponent(id)}`);
      if (session.json) session.record(answer);
      else showLease(session, readAnswer(leaseAnswer, answer));
    });
  endCommand(lease, open);
};

function listCommand(lease: Command, open: (command: Command) => Session): void {
  lease
    .command("list")
    .description("leases, newest first, by any of these filters together")
    .option("--exposed", "only those whose credential might still work")
    .option("--no-exposed", "only those whose credential certainly works no more")
    .option("--workload <name>", "SPIFFE ID, or <issuer>#<subject>")
    .option("--initiator <name>", "on whose behalf")
    .option("--task <task>", "id of the task")
    .option("--backend <backend>", "name of the backend")
    .option("--role <role>", "such as orders-db/reader")
    .addOption(new Option("--state <state>", "where its life stands").choices(LEASE_STATES))
    .option("--fingerprint <hex>", "keyed fingerprint of a credential")
    .option("--from <time>", "reserved since: an instant, or how long ago (7d)")
    .option("--until <time>", "reserved before")
    .option("--limit <n>", "at most so many", parseLimit, 100)
    .option("--after <place>", "go on where an earlier list ended")
    .option("--all", "to the end")
    .addHelpText(
      "after",
      examples(
        "mayfly lease list --exposed",
        "mayfly lease list --workload spiffe://acme.test/agent/invoice-bot --from 7d",
        "mayfly lease list --state stuck --json | jq -r .last_error",
      ),
    )
    .action(async (options: ListOptions, command: Command) => {
      const session = open(command);
      const { clock } = session.io;
      const query = {
        exposed: options.exposed === undefined ? undefined : String(options.exposed),
        workload: options.workload,
        initiator: options.initiator,
        task: options.task,
        backend: options.backend,
        role: options.role,
        state: options.state,
        fingerprint: options.fingerprint,
        from: instantOption("--from", options.from, clock),
        until: instantOption("--until", options.until, clock),
      };
      const listed = await listAll(
        session,
        session.api(),
        "/v1/leases",
        query,
        options,
        leaseAnswer,
      );
      showLeases(session, listed.items);
      noteMore(session, listed.next);
    });
}

function endCommand(lease: Command, open: (command: Command) => Session): void {
  const end = lease
    .command("end")
    .description("end leases now, by id or all that is selected; their credentials stop to work")
    .argument("[lease...]", "ids of leases");
  withSelector(end)
    .option("--wait <duration>", "of a selection: how long to wait, at most 60s", "10s")
    .option("--reason <text>", "for the ledger")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      examples(
        'mayfly lease end lease_0199… --reason "seen in a log"',
        "mayfly lease end --workload spiffe://acme.test/agent/invoice-bot --dry-run",
        "mayfly lease end --backend orders-db --role orders-db/writer --yes",
      ),
    )
    .action((ids: string[], options: SelectorOptions, command: Command) => {
      const session = open(command);
      return byIds(ids, options, "leases")
        ? endLeases(session, ids, options)
        : endSelected(session, "/v1/leases/end", options);
    });
}

async function endLeases(
  session: Session,
  ids: readonly string[],
  options: { readonly reason?: string; readonly yes?: true },
): Promise<void> {
  const api = session.api();
  const before: LeaseAnswer[] = [];
  for (const id of ids) {
    const answer = await api.get(`/v1/leases/${encodeURIComponent(id)}`);
    before.push(readAnswer(leaseAnswer, answer));
  }
  await session.confirm(before.map(endPlan), options.yes === true);
  const ended: LeaseAnswer[] = [];
  for (const { id } of before) {
    const body = options.reason === undefined ? {} : { reason: options.reason };
    const answer = await api.send("POST", `/v1/leases/${id}/end`, body);
    if (session.json) session.record(answer);
    else ended.push(readAnswer(leaseAnswer, answer));
  }
  showLeases(session, ended);
}

const endPlan = (lease: LeaseAnswer): string =>
  lease.state === "ended"
    ? `${lease.id} has ended already`
    : `ends ${lease.id}: ${lease.role ?? lease.backend} of ${lease.workload ?? "nobody known"}`;

/** A table; with `-q` only the ids. Nothing with `--json`, where the records are out already. */
export function showLeases(session: Session, leases: readonly LeaseAnswer[]): void {
  if (session.json) return;
  if (session.onlyIds(leases.map(({ id }) => id))) return;
  if (leases.length === 0) session.note("No lease.");
  else session.text(leaseTable(leases, session));
}

function showLease(session: Session, lease: LeaseAnswer): void {
  const { paint, io } = session;
  const at = (instant: string | null): string | null =>
    instant === null ? null : clockSecondsText(instant, io.clock.now(), io.timeZone);
  session.detail(`${paint.bold(lease.id)}  ${stateText(lease)}, ${endsText(lease, session)}\n`);
  session.detail(
    factLines(
      [
        ["exposed", exposureText(lease, session)],
        ["role", lease.role],
        ["backend", lease.backend],
        ["workload", lease.workload],
        ["task", lease.task],
        ["decision", lease.decision],
        ["named", lease.external_name],
        ["fingerprint", lease.fingerprint],
        ["reserved", at(lease.reserved_at)],
        ["activated", at(lease.activated_at)],
        ["expires", at(lease.expires_at)],
        ["end asked", at(lease.end_requested_at)],
        ["reason", lease.end_reason],
        ["ended", at(lease.ended_at)],
        ["attempts", lease.attempts === 0 ? null : String(lease.attempts)],
        ["last error", lease.last_error],
      ],
      paint,
    ),
  );
  if (lease.looked !== null) {
    session.detail(`${paint.dim("looked at")}\n${factLines(factsOf(lease.looked), paint, "  ")}`);
  }
}
