import { structuredPatch } from "diff";
import type { Json } from "@mayfly/spec";
import type { CliError } from "../cli-error.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Paint } from "../render/paint.ts";
import type { FieldChange } from "./plan-apply.ts";
import type { PlannedSource } from "./plan-policies.ts";

export type ApplyAction = "create" | "update" | "delete" | "keep" | "unchanged" | "refused";

/** One object of a plan, and what became of it. */
export interface ReportedObject {
  readonly kind: "trust" | "backend" | "role" | "resource_server" | "policy";
  readonly name: string;
  readonly action: ApplyAction;
  readonly changes: readonly FieldChange[];
  readonly note: string | null;
  readonly source: PlannedSource | null;
  readonly error: CliError | null;
  /** Set as steps are done. */
  outcome: "planned" | "done" | "failed" | "not_done";
}

const SIGN: Readonly<Record<ApplyAction, string>> = {
  create: "+",
  update: "~",
  delete: "-",
  keep: "=",
  unchanged: " ",
  refused: "!",
};
const DIFF_LINES_MAX = 200;
const VALUE_MAX = 120;

/** One object with what changes, for a person; nothing for what stays as it is. */
export function objectText(object: ReportedObject, paint: Paint): string {
  const { action, kind, name, note } = object;
  if (action === "unchanged" || (action === "keep" && note === null)) return "";
  const colour = { "+": paint.green, "~": paint.yellow, "-": paint.red, "!": paint.red }[
    SIGN[action]
  ];
  const head = `${SIGN[action]} ${kind.padEnd(7)} ${cleanText(name)}`;
  const lines = [colour === undefined ? head : colour(head)];
  if (note !== null) lines.push(`    ${action === "keep" ? "stays: " : ""}${cleanText(note)}`);
  const width = Math.max(0, ...object.changes.map(({ path }) => path.length)) + 2;
  for (const change of object.changes) {
    lines.push(
      `    ${paint.dim(cleanText(change.path).padEnd(width))}${changeText(change, action)}`,
    );
  }
  if (object.source !== null) lines.push(...sourceLines(object.source, paint));
  if (object.error !== null) {
    const { what, where, todo } = object.error.parts;
    lines.push(`    ${paint.red(cleanText(what))}`);
    if (where) lines.push(`    ${cleanText(where)}`);
    lines.push(`    ${cleanText(todo)}`);
  }
  return lines.map((line) => `${line}\n`).join("");
}

function changeText(change: FieldChange, action: ApplyAction): string {
  const to = change.reference === null ? valueText(change.to) : `from ${change.reference}`;
  if (change.secret) return `${cleanText(to)}  differs from what is registered`;
  if (action === "create") return cleanText(to);
  return cleanText(`${valueText(change.from)} → ${to}`);
}

function valueText(value: Json): string {
  if (value === null) return "(none)";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length <= VALUE_MAX ? text : `${text.slice(0, VALUE_MAX - 1)}…`;
}

function sourceLines({ before, after }: PlannedSource, paint: Paint): readonly string[] {
  const { hunks } = structuredPatch("", "", before, after, "", "", { context: 1 });
  const lines = hunks.flatMap((hunk) => hunk.lines).filter((line) => !line.startsWith("\\"));
  const shown = lines.slice(0, DIFF_LINES_MAX).map((line) => {
    const text = `    ${cleanText(line)}`;
    return line.startsWith("+") ? paint.green(text) : line.startsWith("-") ? paint.red(text) : text;
  });
  if (lines.length > DIFF_LINES_MAX)
    shown.push(`    … ${lines.length - DIFF_LINES_MAX} more lines`);
  return shown;
}

/** `2 to create, 1 to update, 5 unchanged`, or `0 changes`. */
export function summaryText(objects: readonly ReportedObject[], dryRun: boolean): string {
  const count = (action: ApplyAction): number =>
    objects.filter((each) => each.action === action && (dryRun || each.outcome === "done")).length;
  const words = dryRun
    ? ([
        ["to create", "create"],
        ["to update", "update"],
        ["to delete", "delete"],
      ] as const)
    : ([
        ["created", "create"],
        ["updated", "update"],
        ["deleted", "delete"],
      ] as const);
  const changes = words.map(([word, action]) => [count(action), word] as const);
  const unchanged = objects.filter(({ action }) => action === "unchanged").length;
  const kept = objects.filter(({ action, note }) => action === "keep" && note !== null).length;
  const refused = objects.filter(({ action }) => action === "refused").length;
  const parts = [
    ...changes.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`),
    ...(refused > 0 ? [`${refused} refused`] : []),
  ];
  const head = parts.length === 0 ? "0 changes" : parts.join(", ");
  return [
    head,
    ...(unchanged > 0 ? [`${unchanged} unchanged`] : []),
    ...(kept > 0 ? [`${kept} kept`] : []),
  ].join(", ");
}
