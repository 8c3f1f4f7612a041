import { parseShallowJson, type JsonObject } from "@mayfly/spec";
import {
  EXPORT_VERSIONS,
  exportLine,
  HEADER_MEMBERS,
  type ExportEntry,
  type ExportHeader,
} from "./export-line.ts";

/** One line of an exported file, without its line feed. */
export type ParsedLine =
  | { readonly kind: "header"; readonly header: ExportHeader }
  | { readonly kind: "entry"; readonly entry: ExportEntry }
  | { readonly kind: "wrong"; readonly problem: string };

const EVENT_LINE = ["chain_hash", "event", "event_id", "leaf_hash", "log_index"];
const SALTED_LINE = [...EVENT_LINE, "salt"];
const ERASED_LINE = [...EVENT_LINE, "erased_by"];
const RAW_LINE = ["chain_hash", "event_id", "leaf_hash", "log_index", "raw"];
const EVENT = ["actor", "at", "data", "decisionId", "id", "kind", "leaseId", "taskId"];
const HASH = /^[0-9a-f]{64}$/;
const SALT = /^[0-9a-f]{32}$/;

const wrong = (problem: string): ParsedLine => ({ kind: "wrong", problem });

/**
 * Closed-world, and byte for byte: a member given twice, a changed order or space is what an export
 * never writes, and two readers might read it differently.
 */
export function parseExportLine(text: string): ParsedLine {
  const value = parseObject(text);
  if (value === null) return wrong("it is no JSON object: it was cut or altered");
  const parsed = isHeader(value) ? headerLine(value) : entryLine(value);
  if (parsed.kind === "wrong") return parsed;
  const canonical = exportLine(parsed.kind === "header" ? parsed.header : parsed.entry);
  if (canonical !== `${text}\n`) {
    return wrong("it is not written as an export writes it (RFC 8785): it was altered");
  }
  return parsed;
}

function parseObject(text: string): JsonObject | null {
  try {
    const value = parseShallowJson(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** It came out of JSON. */
const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isHeader = (value: JsonObject): boolean => "mayfly_ledger_export" in value;

function headerLine(value: JsonObject): ParsedLine {
  if (!EXPORT_VERSIONS.some((version) => version === value["mayfly_ledger_export"])) {
    return wrong(
      `it is of version ${JSON.stringify(value["mayfly_ledger_export"])} of the format, and this ` +
        `command reads ${EXPORT_VERSIONS.join(" and ")}: use the \`mayfly\` that wrote it, or a ` +
        "newer one",
    );
  }
  const problem = firstProblem([
    unexpectedMember(value, HEADER_MEMBERS),
    ...["from", "until", "log_entries", "schema_version"].map((name) => notAnIndex(value, name)),
    ...["before_hash", "head_hash"].map((name) => notAHash(value, name)),
    ...["installation", "exported_at"].map((name) => notAText(value, name)),
    notAnInstant(value, "exported_at"),
  ]);
  return isWithout<ExportHeader>(value, problem)
    ? { kind: "header", header: value }
    : wrong(problem ?? "");
}

function entryLine(value: JsonObject): ParsedLine {
  const isRaw = "raw" in value;
  const members = "salt" in value ? SALTED_LINE : "erased_by" in value ? ERASED_LINE : EVENT_LINE;
  const problem = firstProblem([
    unexpectedMember(value, isRaw ? RAW_LINE : members),
    notAnIndex(value, "log_index"),
    ...["leaf_hash", "chain_hash"].map((name) => notAHash(value, name)),
    notAText(value, "event_id"),
    "erased_by" in value ? notAText(value, "erased_by") : null,
    "salt" in value ? notASalt(value["salt"]) : null,
    isRaw
      ? rawProblem(value["raw"], value["event_id"])
      : eventProblem(value["event"], value["event_id"]),
  ]);
  // What an event's members hold is vouched for by its hash alone.
  return isWithout<ExportEntry>(value, problem)
    ? { kind: "entry", entry: value }
    : wrong(problem ?? "");
}

/** Of a value each of whose members was looked at. */
const isWithout = <T>(value: unknown, problem: string | null): value is T =>
  isObject(value) && problem === null;

function eventProblem(event: unknown, id: unknown): string | null {
  if (!isObject(event)) return "`event` is no object: it was altered";
  const problem = unexpectedMember(event, EVENT);
  if (problem !== null) return `in \`event\`, ${problem}`;
  return event["id"] === id ? null : "`event_id` is not the id in `event`: one was altered";
}

/** The row's text is an array that begins with its UUID: of an entry, only this is hashed. */
function rawProblem(raw: unknown, id: unknown): string | null {
  if (typeof raw !== "string") return "`raw` is no text: it was altered";
  let row: unknown;
  try {
    row = parseShallowJson(raw);
  } catch {
    return "`raw` is no JSON: it was altered";
  }
  const isSame = Array.isArray(row) && row[0] === id;
  return isSame ? null : "`event_id` is not the id in `raw`: one was altered";
}

const firstProblem = (found: readonly (string | null)[]): string | null =>
  found.find((each) => each !== null) ?? null;

function unexpectedMember(value: JsonObject, names: readonly string[]): string | null {
  const missing = names.find((name) => !(name in value));
  if (missing !== undefined) return `the member \`${missing}\` is missing`;
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown === undefined) return null;
  return `there is an unknown member \`${unknown.slice(0, 40)}\``;
}
const notAnIndex = (value: JsonObject, name: string): string | null => {
  const number = value[name];
  const fits = typeof number === "number" && Number.isSafeInteger(number) && number >= 0;
  return fits ? null : `\`${name}\` is no whole number from 0: it was altered`;
};
const notAHash = (value: JsonObject, name: string): string | null => {
  const hash = value[name];
  const fits = typeof hash === "string" && HASH.test(hash);
  return fits ? null : `\`${name}\` is no SHA-256 in hex: it was altered`;
};
const notASalt = (salt: unknown): string | null =>
  typeof salt === "string" && SALT.test(salt) ? null : "`salt` is no salt in hex: it was altered";
/** As an export writes it: RFC 3339, UTC, to the millisecond. */
function notAnInstant(value: JsonObject, name: string): string | null {
  const text = value[name];
  const ms = typeof text === "string" ? Date.parse(text) : Number.NaN;
  const fits = !Number.isNaN(ms) && new Date(ms).toISOString() === text;
  return fits ? null : `\`${name}\` is no instant: it was altered`;
}
const notAText = (value: JsonObject, name: string): string | null =>
  typeof value[name] === "string" ? null : `\`${name}\` is no text: it was altered`;
