import type { Command } from "commander";
import type { JsonObject } from "@mayfly/spec";
import {
  endPreviewAnswer,
  endReportAnswer,
  type EndPreviewAnswer,
} from "../api/security-answers.ts";
import { readAnswer } from "../api/answers.ts";
import { CliError, usageError } from "../cli-error.ts";
import { endReport, matchesNothing, nothingMatched, previewLines } from "../render/end-report.ts";
import type { Session } from "../session.ts";

/** What an end is aimed at, where no ids are given. */
export interface SelectorOptions {
  readonly workload?: string;
  readonly task?: string;
  readonly backend?: string;
  readonly role?: string;
  readonly initiator?: string;
  readonly trustRoot?: string;
  readonly trustDomain?: string;
  readonly dryRun?: true;
  readonly expect?: string;
  readonly look?: string;
  readonly wait: string;
  readonly reason?: string;
  readonly yes?: true;
}

export const withSelector = (command: Command): Command =>
  command
    .option("--workload <name>", "all of this workload: SPIFFE ID, or <issuer>#<subject>")
    .option("--task <task>", "all of this task and the tasks below it")
    .option("--backend <backend>", "all on this backend")
    .option("--role <role>", "all of this role")
    .option("--initiator <name>", "all on this person's behalf, verified or claimed")
    .option("--trust-root <name>", "all whose workload or initiator it vouched for")
    .option("--trust-domain <domain>", "all SPIFFE IDs of this trust domain")
    .option("--dry-run", "say exactly what would end, and end nothing")
    .option("--expect <digest>", "end only if the set is the one of this dry run")
    .option("--look <duration>", "look for new ones at least so long, at most 15m");

function selectorOf(options: SelectorOptions): Record<string, string> {
  const given: readonly (readonly [string, string | undefined])[] = [
    ["workload", options.workload],
    ["task", options.task],
    ["backend", options.backend],
    ["role", options.role],
    ["initiator", options.initiator],
    ["trust_root", options.trustRoot],
    ["trust_domain", options.trustDomain],
  ];
  return Object.fromEntries(
    given.filter((pair): pair is readonly [string, string] => pair[1] !== undefined),
  );
}

/**
 * Whether the ids given are to end (true), or what is selected (false). Throws where it is neither
 * or both.
 */
export function byIds(ids: readonly string[], options: SelectorOptions, what: string): boolean {
  const selected = Object.keys(selectorOf(options)).length > 0;
  if (ids.length > 0 && selected) {
    throw usageError(`Give ids of ${what}, or select by options, not both.`, "Leave one out.");
  }
  if (ids.length > 0 && (options.dryRun === true || options.expect !== undefined)) {
    throw usageError(
      "--dry-run and --expect go with a selection.",
      "With ids, what would end is shown before it is asked for.",
    );
  }
  if (ids.length === 0 && !selected) {
    throw usageError(
      `Say which ${what} are to end.`,
      "Give ids, or select by --workload, --task, --backend, --role, --initiator, --trust-root or " +
        "--trust-domain; all that is given counts together.",
    );
  }
  return ids.length > 0;
}

/** How often what would end is shown again because it changed before the yes to it. */
const SHOWN_MAX = 3;

/**
 * Shows what would end, asks, ends it, and tells what became of each lease. A yes is to what was
 * shown: if that has changed by then, nothing ends, and it is shown and asked again. `--yes` is to
 * what is selected, whatever it is by then. What matched nothing ends the command with 1.
 */
export async function endSelected(
  session: Session,
  path: EndPath,
  options: SelectorOptions,
): Promise<void> {
  for (let shown = 1; ; shown++) {
    const dry = await session.api().send("POST", path, {
      selector: selectorOf(options),
      dry_run: true,
    });
    const preview = readAnswer(endPreviewAnswer, dry);
    if (options.dryRun === true) {
      if (session.json) session.record(dry);
      else showPreview(session, preview);
      if (matchesNothing(preview)) tellOfNothing(session, preview);
      return;
    }
    await session.confirm(previewLines(preview), options.yes === true);
    const isAsked = options.yes !== true && options.expect === undefined;
    const expect = isAsked ? preview.digest : options.expect;
    try {
      const answer = await session.api().send("POST", path, endBody(options, expect));
      showEnd(session, answer);
      const { end, tasks, leases } = readAnswer(endReportAnswer, answer);
      if (tasks + leases === 0) tellOfNothing(session, end);
      return;
    } catch (error) {
      if (!isAsked || !hasChanged(error) || shown === SHOWN_MAX) throw error;
      session.io.err("What would end has changed since it was shown. Nothing was ended.\n");
    }
  }
}

type EndPath = "/v1/leases/end" | "/v1/tasks/kill";

const endBody = (options: SelectorOptions, expect: string | undefined): JsonObject => ({
  selector: selectorOf(options),
  wait: options.wait,
  ...(expect === undefined ? {} : { expect }),
  ...(options.look === undefined ? {} : { look: options.look }),
  ...(options.reason === undefined ? {} : { reason: options.reason }),
});

const hasChanged = (error: unknown): boolean =>
  error instanceof CliError && error.parts.code === "conflict" && error.parts.where === "expect";

/** Also with `-q`: who sees no words would take it for done. With `--json` the counts say it. */
function tellOfNothing(
  session: Session,
  selected: Pick<EndPreviewAnswer, "target" | "selector">,
): void {
  session.found();
  if (!session.json) session.io.err(`${nothingMatched(selected)}\n`);
}

function showPreview(session: Session, preview: EndPreviewAnswer): void {
  const ids = preview.target === "tasks" ? preview.task_ids : preview.lease_ids;
  if (session.onlyIds(ids)) return;
  const most = preview.target === "tasks" ? preview.tasks : preview.leases;
  const rest = most > ids.length ? [`… and ${most - ids.length} more`] : [];
  const lines = [...previewLines(preview), ...ids, ...rest];
  session.text(lines.map((line) => `${line}\n`).join(""));
}

export function showEnd(session: Session, answer: unknown): void {
  if (session.json) return session.record(answer);
  const report = readAnswer(endReportAnswer, answer);
  if (session.onlyIds(report.items.map(({ id }) => id))) return;
  session.text(endReport(report, session));
  if (report.next !== null) {
    session.note(`More: mayfly end show ${report.end.id} --after ${report.next}`);
  } else if (report.exposure.leases > 0 || report.end.finished_at === null) {
    session.note(`Look again: mayfly end show ${report.end.id}`);
  }
}
