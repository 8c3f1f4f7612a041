import { isIPv4 } from "node:net";
import { parseShallowJson, type Json, type JsonObject, type Secret } from "@mayfly/spec";
import { CliError, configError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import type { Fetch } from "../io.ts";
import { problemError } from "./problem-error.ts";

export type Query = Readonly<Record<string, string | undefined>>;

/** The broker's HTTP API with an administrator's token. Every failure is a {@link CliError}. */
export interface BrokerApi {
  readonly url: string;
  get(path: string, query?: Query): Promise<unknown>;
  /** Null where the broker answers without a body. */
  send(
    method: "POST" | "PUT" | "DELETE",
    path: string,
    body?: JsonObject,
    headers?: Readonly<Record<string, string>>,
  ): Promise<unknown>;
  /** The body piece by piece, as the broker sends it. */
  stream(path: string, query: Query): AsyncIterable<Uint8Array>;
  /** The status alone, without a token; null when nobody answers. */
  probe(path: string): Promise<number | null>;
}

export interface BrokerApiOptions {
  readonly url: URL;
  /** Asked for each call: a file that something else renews is read anew. */
  token(): Secret | null;
  /** Sends the token over plain http to another machine. */
  readonly unsafePlainHttp: boolean;
  readonly fetch: Fetch;
  /** Ends what is under way. */
  readonly interrupted: AbortSignal;
}

/** Above the longest that the broker itself waits (60 s for the end of a task). */
const CALL_MS_MAX = 90_000;
/** Of a stream in all; the broker cuts off who takes nothing for 30 s. */
const STREAM_MS_MAX = 60 * 60_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export function createBrokerApi(options: BrokerApiOptions): BrokerApi {
  const base = options.url.href.replace(/\/$/, "");
  const call = async (
    method: string,
    path: string,
    body?: Json,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<unknown> => {
    const response = await sendCall(options, `${base}${path}`, {
      method,
      headers: {
        ...headers,
        accept: "application/json",
        authorization: `Bearer ${tokenFor(options).expose("upstream")}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = parseAnswer(await readBounded(response), base);
    if (response.ok) return answer;
    throw problemError(response.status, answer, base);
  };
  return {
    url: base,
    get: (path, query = {}) => call("GET", `${path}${queryText(query)}`),
    send: (method, path, body, headers) =>
      call(method, path, body ?? (method === "POST" ? {} : undefined), headers),
    stream: async function* (path, query) {
      const url = `${base}${path}${queryText(query)}`;
      const authorization = `Bearer ${tokenFor(options).expose("upstream")}`;
      const init = { method: "GET", headers: { authorization } };
      const response = await sendCall(options, url, init, STREAM_MS_MAX);
      if (!response.ok) {
        throw problemError(response.status, parseAnswer(await readBounded(response), base), base);
      }
      try {
        for await (const piece of response.body ?? []) {
          const bytes: unknown = piece;
          if (bytes instanceof Uint8Array) yield bytes;
        }
      } catch (error) {
        throw cutOff(base, error);
      }
    },
    probe: async (path) => {
      try {
        const response = await sendCall(options, `${base}${path}`, { method: "GET" });
        await response.body?.cancel();
        return response.status;
      } catch {
        return null;
      }
    },
  };
}

function tokenFor({ url, unsafePlainHttp, ...options }: BrokerApiOptions): Secret {
  const token = options.token();
  if (token === null) {
    throw new CliError({
      code: "unauthenticated",
      what: "No administrator's token is given.",
      where: "MAYFLY_ADMIN_TOKEN",
      todo:
        "Set MAYFLY_ADMIN_TOKEN or MAYFLY_ADMIN_TOKEN_FILE, or give --admin-token-file. " +
        "`mayfly migrate` printed the token once; `mayfly admin-token rotate` makes a new one.",
      exit: EXIT.config,
    });
  }
  // A token that a terminal wrapped, or a file with two lines, is no header value.
  if (!/^[\x21-\x7e]{1,16384}$/.test(token.expose("crypto"))) {
    throw configError("The administrator's token is not one line of ASCII.", "MAYFLY_ADMIN_TOKEN");
  }
  if (url.protocol === "http:" && !isThisMachine(url.hostname) && !unsafePlainHttp) {
    throw configError(
      "The administrator's token is not sent over plain http to another machine.",
      url.origin,
      "Use https, or give --unsafe-plain-http where the network itself is trusted.",
    );
  }
  return token;
}

const isThisMachine = (host: string): boolean =>
  host === "localhost" ||
  host.endsWith(".localhost") ||
  host === "[::1]" ||
  (isIPv4(host) && host.startsWith("127."));

async function sendCall(
  options: BrokerApiOptions,
  url: string,
  init: RequestInit,
  withinMs: number = CALL_MS_MAX,
): Promise<Response> {
  try {
    return await options.fetch(url, {
      ...init,
      // A redirect would carry the token to somebody else.
      redirect: "error",
      signal: AbortSignal.any([AbortSignal.timeout(withinMs), options.interrupted]),
    });
  } catch (error) {
    throw new CliError(
      {
        code: "broker_unreachable",
        what: "No broker answers.",
        where: options.url.origin,
        why: reasonOf(error),
        todo: "Start it, or name another with --url or MAYFLY_URL.",
        exit: EXIT.unavailable,
      },
      error,
    );
  }
}

const cutOff = (url: string, error: unknown): CliError =>
  new CliError(
    {
      code: "broker_unreachable",
      what: "The broker's answer was cut off.",
      where: url,
      why: reasonOf(error),
      todo: "Go on from where it ended.",
      exit: EXIT.unavailable,
    },
    error,
  );

/** `fetch failed` hides what failed in its cause. */
function reasonOf(error: unknown): string {
  let at: unknown = error;
  let text = "";
  for (let depth = 0; depth < 4 && at instanceof Error; depth++, at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
    if (at.name === "TimeoutError") return `no answer within ${CALL_MS_MAX / 1_000} s`;
    if (at.message !== "") text = at.message;
  }
  return text;
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  for await (const chunk of response.body ?? []) {
    const piece: unknown = chunk;
    if (!(piece instanceof Uint8Array)) continue;
    bytes += piece.byteLength;
    if (bytes > ANSWER_BYTES_MAX) {
      throw new CliError({
        code: "too_large",
        what: `The answer is longer than ${ANSWER_BYTES_MAX / 1024 / 1024} MiB.`,
        where: response.url,
        todo: "Ask for less: --limit, or a narrower filter.",
        exit: EXIT.refused,
      });
    }
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

function parseAnswer(text: string, base: string): unknown {
  if (text === "") return null;
  try {
    return parseShallowJson(text);
  } catch (error) {
    throw new CliError(
      {
        code: "not_a_broker",
        what: "What answers there is not a Mayfly broker: its answer is not JSON.",
        where: base,
        todo: "Name the broker itself with --url or MAYFLY_URL.",
        exit: EXIT.unavailable,
      },
      error,
    );
  }
}

function queryText(query: Query): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => {
    return pair[1] !== undefined;
  });
  return given.length === 0 ? "" : `?${new URLSearchParams(given).toString()}`;
}
