import type { Paint } from "./paint.ts";
import type { CliErrorParts } from "../cli-error.ts";
import { cleanStrings, cleanText } from "./clean-text.ts";

/** The four parts of an error, one per line, for a person. */
export function errorText(parts: CliErrorParts, paint: Paint): string {
  const [first = "", ...rest] = parts.what.split("\n");
  const lines = [`${paint.red("error")}  ${cleanText(first)}`];
  for (const line of rest) lines.push(`       ${cleanText(line)}`);
  const add = (name: string, text: string | null | undefined): void => {
    if (text !== null && text !== undefined && text !== "") {
      lines.push(`${name.padEnd(5)}  ${cleanText(text)}`);
    }
  };
  add("where", parts.where);
  add("why", parts.why);
  for (const [name, value] of Object.entries(parts.more ?? {})) {
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (items.length > 0) lines.push(`${cleanText(name.replaceAll("_", " "))}:`);
    for (const item of items) lines.push(`       ${memberText(item)}`);
  }
  add("do", parts.todo);
  add("code", parts.code);
  add("trace", parts.trace);
  return lines.map((line) => `${line}\n`).join("");
}

/** The same as one JSON object on one line; its members are those of the broker's problems. */
export function errorJson(parts: CliErrorParts): string {
  return JSON.stringify({
    code: parts.code,
    detail: parts.what,
    ...(parts.where ? { where: parts.where } : {}),
    ...(parts.why ? { title: parts.why } : {}),
    todo: parts.todo,
    ...parts.more,
    ...(parts.trace ? { trace: parts.trace } : {}),
    exit: parts.exit,
  });
}

function memberText(value: unknown): string {
  const clean = cleanStrings(value);
  if (typeof clean === "string") return clean;
  if (typeof clean !== "object" || clean === null || Array.isArray(clean)) {
    return JSON.stringify(clean);
  }
  return Object.entries(clean)
    .filter(([, member]) => member !== null)
    .map(([, member]) => (typeof member === "string" ? member : JSON.stringify(member)))
    .join("  ");
}
