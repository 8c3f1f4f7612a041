import { pino, type Logger } from "pino";
import type { Clock, JsonObject, Log } from "@mayfly/spec";
import { describeError } from "./describe-error.ts";
import { redactFields } from "./redact-fields.ts";

/** Least severe first; `silent` drops everything. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface JsonLogOptions {
  /** One line of JSON per call, newline included: standard output in production. */
  readonly stream: { write(line: string): unknown };
  /** What is less severe is dropped before it is serialised. */
  readonly level: LogLevel;
  readonly clock: Clock;
  /** On every line, for instance `{ service: "broker" }`. */
  readonly fields?: JsonObject;
  /** The trace that the writing code belongs to, or null; on every line, as `trace`. */
  readonly currentTrace?: () => string | null;
}

/**
 * The structured log. Each line is one object: `level` (a word), `at` (RFC 3339, UTC), the bound
 * fields, `trace` inside a request or a pass, the call's own fields, `error`, `message`. A field
 * cannot overwrite those of the line itself: it is renamed with a leading underscore. A `trace`
 * that the call names itself stands.
 */
export function createJsonLog(options: JsonLogOptions): Log {
  const { clock } = options;
  const logger = pino(
    {
      level: options.level,
      base: null,
      messageKey: "message",
      timestamp: () => `,"at":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    {
      write: (line) => {
        options.stream.write(line);
      },
    },
  );
  const { currentTrace = () => null } = options;
  return logOver(logger.child(safe(options.fields ?? {})), currentTrace, false);
}

/** `bound`: a `trace` is among the bound fields already. */
function logOver(logger: Logger, currentTrace: () => string | null, bound: boolean): Log {
  const write =
    (level: Exclude<LogLevel, "silent">) =>
    (message: string, fields: JsonObject = {}, error?: unknown): void => {
      if (!logger.isLevelEnabled(level)) return;
      const trace = bound ? null : currentTrace();
      const shown = {
        ...(trace === null ? {} : { trace }),
        ...safe(fields),
        ...(error === undefined ? {} : { error: describeError(error) }),
      };
      logger[level](shown, message);
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (fields) =>
      logOver(logger.child(safe(fields)), currentTrace, bound || "trace" in fields),
  };
}

const OWN_MEMBERS = new Set(["level", "at", "message", "error"]);

function safe(fields: JsonObject): JsonObject {
  const shown = redactFields(fields);
  if (!Object.keys(shown).some((name) => OWN_MEMBERS.has(name))) return shown;
  return Object.fromEntries(
    Object.entries(shown).map(([name, value]) => [
      OWN_MEMBERS.has(name) ? `_${name}` : name,
      value,
    ]),
  );
}
