/** A chain of causes longer than this is a loop. */
const MAX_CAUSES = 5;

/**
 * What a driver threw, as errors of their name, code, message, stack and cause and of nothing else.
 * `pg` hangs the client on an idle connection's error, and the client holds the password; `ioredis`
 * hangs the command with its arguments.
 */
export function withoutAttachments(thrown: unknown, causesLeft = MAX_CAUSES): Error {
  if (!(thrown instanceof Error)) return new Error("something that is not an error was thrown");
  const cause = causeOf(thrown);
  const bare = new Error(
    thrown.message,
    cause === undefined || causesLeft === 0
      ? undefined
      : { cause: withoutAttachments(cause, causesLeft - 1) },
  );
  bare.name = thrown.name;
  if (thrown.stack !== undefined) bare.stack = thrown.stack;
  return "code" in thrown && typeof thrown.code === "string"
    ? Object.assign(bare, { code: thrown.code })
    : bare;
}

/** Of an `AggregateError` (one attempt to connect per address), the first: it has no message. */
function causeOf(error: Error): unknown {
  if (!(error instanceof AggregateError)) return error.cause;
  const errors: readonly unknown[] = error.errors;
  return errors[0];
}
