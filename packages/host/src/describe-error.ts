import type { Json } from "@mayfly/spec";
import { redactText } from "./redact-fields.ts";

/** A chain of causes longer than this is a loop or noise. */
const MAX_CAUSES = 5;
const MAX_STACK_LINES = 12;

/**
 * An error as log fields: name, code, message, stack and causes, and no other member. Drivers hang
 * parameters, rows and connection settings on their errors, and those hold secrets.
 */
export function describeError(error: unknown, causesLeft = MAX_CAUSES): Json {
  if (!(error instanceof Error)) return { name: typeof error, message: describeOther(error) };
  const code: unknown = "code" in error ? error.code : undefined;
  return {
    name: error.name,
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    message: redactText(error.message),
    stack: redactText(framesOf(error)),
    ...(error.cause === undefined || causesLeft === 0
      ? {}
      : { cause: describeError(error.cause, causesLeft - 1) }),
  };
}

function describeOther(thrown: unknown): string {
  return typeof thrown === "string" ? redactText(thrown) : "(not an Error)";
}

/** The frames alone: the message is a field of its own, and may span lines. */
function framesOf(error: Error): string {
  return (error.stack ?? "")
    .split("\n")
    .filter((line) => /^\s+at /.test(line))
    .slice(0, MAX_STACK_LINES)
    .map((line) => line.trim())
    .join("\n");
}
