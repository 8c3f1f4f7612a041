import { upstreamFailures } from "@mayfly/backend-kit";

/**
 * How an exchange with one server failed.
 *
 * `not_sent`: no byte of the commands left (no connection, aborted before). `refused`: the server
 * answered with an error; `code` is its first word (https://redis.io/docs/latest/develop/reference/
 * protocol-spec/#simple-errors). `lost`: sent, and no answer came: anything may have happened.
 */
export class RedisFailure extends Error {
  override readonly name = "RedisFailure";
  readonly kind: "not_sent" | "refused" | "lost";
  readonly place: string;
  readonly code: string | null;
  constructor(
    kind: RedisFailure["kind"],
    place: string,
    message: string,
    code: string | null = null,
  ) {
    super(`${place}: ${scrub(message)}`);
    this.kind = kind;
    this.place = place;
    this.code = code;
  }
}

/** What our commands hold of a secret is a password's hash; a message may quote its argument. */
const scrub = (text: string): string => text.replaceAll(/#?[0-9a-f]{64}/gi, "[hash]").slice(0, 500);

export const refusalOf = (place: string, message: string): RedisFailure =>
  new RedisFailure("refused", place, message, /^[A-Z]+/.exec(message)?.[0] ?? "ERR");

export function failureOf(place: string, thrown: unknown): RedisFailure {
  if (thrown instanceof RedisFailure) return thrown;
  return new RedisFailure(
    "lost",
    place,
    thrown instanceof Error ? thrown.message : "unknown failure",
  );
}

/** The server, or what runs on it, is in a state that passes. */
const PASSING = new Set(["BUSY", "LOADING", "OOM", "MISCONF", "CLUSTERDOWN", "TRYAGAIN"]);

/** Of one slot that is moving, where the rest is of the server. */
const OF_ONE_COMMAND = "TRYAGAIN";

function reasonOf({ kind, code }: RedisFailure): string {
  switch (kind) {
    case "not_sent":
      return "a server could not be reached; nothing was sent to it";
    case "lost":
      return "a server did not answer in time, so what was sent may have happened";
    case "refused":
      return code === "BUSY"
        ? "a script holds the server up (BUSY): SCRIPT KILL or FUNCTION KILL ends it"
        : `a server refused with ${code ?? "an error"}`;
  }
}

const lasts = ({ kind, code }: RedisFailure): boolean =>
  kind === "refused" && !PASSING.has(code ?? "");

/** The hint says which server, and in its words. */
export const failures = upstreamFailures(
  "Redis",
  (thrown) => failureOf("Redis", thrown),
  (failure) => ({
    reason: reasonOf(failure),
    effect: failure.kind === "lost" ? "unknown" : "none",
    retrySeconds: lasts(failure) ? null : 2,
    upstreamFails: !lasts(failure) && failure.code !== OF_ONE_COMMAND,
    hint: failure.message,
  }),
);
export const { unfinished } = failures;
