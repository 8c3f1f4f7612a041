import { inspect } from "node:util";
import type { JsonObject, Log, Secret } from "@mayfly/spec";

export interface LogEntry {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  /** Those bound by `child`, then the call's own. */
  readonly fields: JsonObject;
  readonly error: unknown;
}

/** A log that keeps what it was told, unredacted, so that a test can look for secrets in it. */
export interface RecordingLog extends Log {
  readonly entries: readonly LogEntry[];
  /** All of it as text, causes and hidden members of errors included. */
  text(): string;
  /** The messages of one level, or of all. */
  messages(level?: LogEntry["level"]): readonly string[];
  /** Throws unless none of the secrets shows: as it is, or in base64, base64url, hex or a URL. */
  assertNoSecret(...secrets: readonly (Secret | string)[]): void;
}

export function createRecordingLog(): RecordingLog {
  const entries: LogEntry[] = [];
  const text = (): string => entries.map(renderEntry).join("\n");
  return {
    ...logInto(entries, {}),
    entries,
    text,
    messages: (level) =>
      entries.filter((entry) => level === undefined || entry.level === level).map((e) => e.message),
    assertNoSecret: (...secrets) => {
      const all = text();
      for (const secret of secrets) {
        const plain = typeof secret === "string" ? secret : secret.expose("crypto");
        // The message must not say what it found.
        if (shapesOf(plain).some((shape) => all.includes(shape))) {
          throw new Error(
            "the log shows a secret; its messages: " + messagesShowing(plain, entries),
          );
        }
      }
    },
  };
}

function logInto(entries: LogEntry[], bound: JsonObject): Log {
  const record =
    (level: LogEntry["level"]) =>
    (message: string, fields: JsonObject = {}, error?: unknown): void => {
      entries.push({ level, message, fields: { ...bound, ...fields }, error });
    };
  return {
    debug: record("debug"),
    info: record("info"),
    warn: record("warn"),
    error: record("error"),
    child: (fields) => logInto(entries, { ...bound, ...fields }),
  };
}

function renderEntry(entry: LogEntry): string {
  return inspect(entry, { depth: 12, showHidden: true, maxStringLength: null, breakLength: 200 });
}

function messagesShowing(plain: string, entries: readonly LogEntry[]): string {
  const showing = entries.filter((entry) =>
    shapesOf(plain).some((shape) => renderEntry(entry).includes(shape)),
  );
  return showing.map((entry) => entry.message.replaceAll(plain, "[…]")).join(", ");
}

function shapesOf(plain: string): readonly string[] {
  const bytes = Buffer.from(plain);
  return [
    plain,
    // Without what depends on the text's length: padding, and the last, partly filled character.
    bytes.toString("base64").replace(/.?=*$/, ""),
    bytes.toString("base64url").slice(0, -1),
    bytes.toString("hex"),
    encodeURIComponent(plain),
  ];
}
