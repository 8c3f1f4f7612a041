import { InvalidInput, type Json, type JsonObject } from "@mayfly/spec";
import { REQUEST_LIMITS } from "./limits.ts";

/**
 * A grant as a set of lines that a policy can look for: `path=value` for each value in it.
 *
 * The path joins the names of members with dots; a dot, an equals sign or a backslash within a name
 * gets a backslash before it. Elements of a list stand under the list's own path, without a number:
 * `["a", "b"]` under `member_of` gives `member_of=a` and `member_of=b`. Text stands as it is,
 * numbers, `true`, `false` and `null` as in JSON, an empty list as `[]`, an empty object as `{}`.
 * The lines are sorted and free of repetition. Throws {@link InvalidInput} past the limits.
 */
export function grantLines(grant: JsonObject): readonly string[] {
  const lines = new Set<string>();
  collect(grant, "", 0, lines);
  return [...lines].toSorted();
}

function collect(value: Json, path: string, depth: number, lines: Set<string>): void {
  if (depth > REQUEST_LIMITS.grantDepth) {
    throw new InvalidInput(`its grant nests deeper than ${REQUEST_LIMITS.grantDepth}`);
  }
  if (typeof value !== "object" || value === null) return add(lines, path, textOf(value));
  if (isList(value)) {
    if (value.length === 0) return add(lines, path, "[]");
    for (const element of value) collect(element, path, depth + 1, lines);
    return;
  }
  const members = Object.entries(value);
  if (members.length === 0 && path !== "") return add(lines, path, "{}");
  for (const [name, element] of members) {
    const escaped = name.replaceAll(/[\\.=]/gu, String.raw`\$&`);
    collect(element, path === "" ? escaped : `${path}.${escaped}`, depth + 1, lines);
  }
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

function textOf(value: null | boolean | number | string): string {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new InvalidInput("its grant holds a number that JSON does not have");
  }
  return String(value);
}

function add(lines: Set<string>, path: string, value: string): void {
  const line = `${path}=${value}`;
  if (line.length > REQUEST_LIMITS.grantLineLength || !line.isWellFormed()) {
    throw new InvalidInput("its grant holds a text that is too long or not well-formed Unicode");
  }
  lines.add(line);
  if (lines.size > REQUEST_LIMITS.grantLines) {
    throw new InvalidInput(`its grant has more than ${REQUEST_LIMITS.grantLines} values`);
  }
}
