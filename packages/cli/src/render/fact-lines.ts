import type { Paint } from "./paint.ts";
import { cleanText } from "./clean-text.ts";

export type Fact = readonly [name: string, text: string | null];

/** One line per fact, names in a column; facts that are null are left out. */
export function factLines(facts: readonly Fact[], paint: Paint, indent = ""): string {
  const there = facts.filter((fact): fact is readonly [string, string] => fact[1] !== null);
  const width = Math.max(0, ...there.map(([name]) => name.length)) + 2;
  return there.map(([name, text]) => `${indent}${paint.dim(name.padEnd(width))}${text}\n`).join("");
}

/** A JSON value as facts with dotted names; empty members say so. */
export function factsOf(value: unknown, prefix = ""): readonly Fact[] {
  if (typeof value !== "object" || value === null) return [[prefix, scalarText(value)]];
  const entries: readonly (readonly [string, unknown])[] = Array.isArray(value)
    ? value.map((item, at) => [String(at), item] as const)
    : Object.entries(value);
  if (entries.length === 0) return [[prefix, Array.isArray(value) ? "none" : "empty"]];
  if (Array.isArray(value) && value.every((item) => typeof item !== "object" || item === null)) {
    return [[prefix, value.map(scalarText).join(", ")]];
  }
  return entries.flatMap(([name, member]) =>
    factsOf(member, prefix === "" ? cleanText(name) : `${prefix}.${cleanText(name)}`),
  );
}

/** What fits in a table's cell: the members that are no objects themselves, `name=text`. */
export function summaryText(value: Readonly<Record<string, unknown>>, most: number): string {
  const scalars = Object.entries(value).filter(
    ([, member]) => member !== null && typeof member !== "object",
  );
  const text = scalars.map(([name, member]) => `${name}=${scalarText(member)}`).join(" ");
  return firstOf(text, most);
}

/** A text's beginning, of at most `most` characters, where all of it would break a table. */
export const firstOf = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, most - 1)}…`;

const scalarText = (value: unknown): string =>
  typeof value === "string" ? cleanText(value) : JSON.stringify(value ?? null);
