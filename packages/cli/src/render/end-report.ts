import type {
  EndPreviewAnswer,
  EndReportAnswer,
  ExposureSummaryAnswer,
} from "../api/security-answers.ts";
import type { Session } from "../session.ts";
import { factLines } from "./fact-lines.ts";
import { leaseTable } from "./lease-table.ts";
import { clockText } from "./time-text.ts";

const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** `2 leases until 22:15, 1 of them until nobody knows when`. */
export function exposureSummaryText(exposure: ExposureSummaryAnswer, { io }: Session): string {
  const { leases, unknown, until } = exposure;
  if (leases === 0) return "nothing";
  const text = counted(leases, "lease");
  const known = until === null ? "" : ` until ${clockText(until, io.clock.now(), io.timeZone)}`;
  if (unknown === 0) return `${text}${known}`;
  return unknown === leases
    ? `${text}, until nobody knows when`
    : `${text}${known}, ${unknown} of them until nobody knows when`;
}

/** Whoever types a name wrong must not believe that something was killed. */
export function nothingMatched({
  target,
  selector,
}: Pick<EndPreviewAnswer, "target" | "selector">): string {
  const what = target === "tasks" ? "active task" : "live lease";
  return `nothing matched: there is no ${what} of ${selectorText(selector)}`;
}

const selectorText = (selector: Readonly<Record<string, string>>): string =>
  Object.entries(selector)
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`)
    .join(", ");

/** What would end, as lines to be read before it is confirmed. */
export function previewLines(preview: EndPreviewAnswer): readonly string[] {
  const { target, tasks, leases, ending_already: ending } = preview;
  if (matchesNothing(preview)) return [nothingMatched(preview), `digest ${preview.digest}`];
  const what =
    target === "tasks"
      ? `kills ${counted(tasks, "task")}, with ${counted(leases, "lease")}`
      : `ends ${counted(leases, "lease")}`;
  const groups = preview.groups.map(
    (group) =>
      `  ${String(group.leases).padStart(6)}  ${group.role ?? `${group.backend}/?`} of ` +
      `${group.workload ?? "nobody known"}`,
  );
  return [
    what,
    ...groups,
    ...(ending === 0 ? [] : [`${counted(ending, "lease")} ending or stuck already`]),
    `digest ${preview.digest}`,
  ];
}

export const matchesNothing = (preview: EndPreviewAnswer): boolean =>
  preview.tasks + preview.leases + preview.ending_already === 0;

/** What is dead, what is dying and until when, then each lease. */
export function endReport(report: EndReportAnswer, session: Session): string {
  const { end, exposure, states } = report;
  const stateTexts = states.map(
    ({ state, outcome, leases }) =>
      `${leases} ${outcome === null ? state : `${state}: ${outcome}`}`,
  );
  const isDone = end.finished_at !== null;
  const facts = factLines(
    [
      ["end", `${end.id}  ${isDone ? (end.result ?? "").replaceAll("_", " ") : "under way"}`],
      ["of", selectorText(end.selector)],
      ["tasks", report.tasks === 0 ? null : `${report.tasks} killed`],
      ["leases", stateTexts.length === 0 ? "none" : stateTexts.join(", ")],
      ["exposed", exposureSummaryText(exposure, session)],
      ["appeared", report.appeared === 0 ? null : `${report.appeared} after the request`],
      ["pending", report.pending === 0 ? null : `${report.pending}: the worker goes on`],
    ],
    session.paint,
  );
  return report.items.length === 0 ? facts : `${facts}${leaseTable(report.items, session)}`;
}
