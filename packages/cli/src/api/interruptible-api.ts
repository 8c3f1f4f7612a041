import { CliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import type { BrokerApi } from "./broker-api.ts";

/** Calls by POST that change nothing: they ask, or try something harmless. */
const ASKS =
  /^\/v1\/(plan|ledger\/verify|trace|backends\/[^/]+\/test|trust\/[^/]+\/test|roles\/[^/]+\/[^/]+\/test)$/;

/**
 * The same API, whose calls end when the user interrupts, with an error that says what of the
 * command's changes was made by then.
 */
export function interruptibleApi(api: BrokerApi, interrupted: AbortSignal): BrokerApi {
  let changes = 0;
  const told = async <T>(call: () => Promise<T>, change: string | null): Promise<T> => {
    if (interrupted.aborted) throw interruption(changes, null);
    try {
      const answer = await call();
      if (change !== null) changes++;
      return answer;
    } catch (error) {
      if (interrupted.aborted) throw interruption(changes, change);
      throw error;
    }
  };
  return {
    ...api,
    get: (path, query) => told(() => api.get(path, query), null),
    send: (method, path, body, headers) => {
      const change = method === "POST" && ASKS.test(path) ? null : `${method} ${path}`;
      return told(() => api.send(method, path, body, headers), change);
    },
    stream: async function* (path, query) {
      try {
        yield* api.stream(path, query);
      } catch (error) {
        if (interrupted.aborted) throw interruption(changes, null);
        throw error;
      }
    },
  };
}

/** `underWay` is a change whose answer did not come: it may have been made. */
export function interruption(changes: number, underWay: string | null): CliError {
  const made =
    changes === 0
      ? "Nothing was changed."
      : `${changes} ${changes === 1 ? "change was" : "changes were"} made.`;
  const what =
    underWay === null
      ? made
      : `${changes === 0 ? "" : `${made} `}One was under way, and may have been made: ${underWay}.`;
  return new CliError({
    code: "interrupted",
    what: `Interrupted. ${what}`,
    todo:
      changes === 0 && underWay === null
        ? "Run it again when you want it."
        : "Look at what is there now, then run it again.",
    exit: EXIT.interrupted,
  });
}
