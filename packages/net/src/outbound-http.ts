import type { Agent, Dispatcher } from "undici";
import {
  parseShallowJson,
  type CallContext,
  type OutboundHttp,
  type OutboundJson,
  type OutboundOptions,
  type OutboundPost,
} from "@mayfly/spec";
import { maxAgeSeconds } from "./max-age.ts";
import { OutboundError } from "./outbound-error.ts";
import { createPolicedAgent, resolveBySystem, type ResolveName } from "./policed-agent.ts";
import { readBounded } from "./read-bounded.ts";

export interface OutboundHttpOptions {
  /** PEM; instead of the platform's certificate authorities. Default: theirs. */
  readonly ca?: string | readonly string[];
  /** Default: the machine's resolver. */
  readonly resolveName?: ResolveName;
}

/** `close` ends idle connections and waits for what is under way. */
export interface ClosableOutboundHttp extends OutboundHttp, OutboundPost {
  close(): Promise<void>;
}

const TIMEOUT_MS_MAX = 30_000;
const BYTES_MAX = 16 * 1024 * 1024;

interface Headers {
  readonly [name: string]: string | string[] | undefined;
}

/**
 * The only outbound HTTP: GET of JSON, and POST of it to who is configured, under one deadline from
 * look-up to last byte, with a size
 * cap while streaming and no redirect at all. Any content type is read, since key sets are served
 * as half a dozen; what is not JSON is an error. An answer other than 2xx has no body here.
 *
 * The two policies have a pool each: a connection made under the unsafe one serves no strict call.
 */
export function createOutboundHttp(options: OutboundHttpOptions = {}): ClosableOutboundHttp {
  const shared = { ca: options.ca ?? null, resolveName: options.resolveName ?? resolveBySystem };
  const strict = createPolicedAgent({ policy: "public", ...shared });
  const unsafe = createPolicedAgent({ policy: "unsafe_private", ...shared });
  const send = async (
    url: string,
    call: OutboundCall,
    limits: OutboundOptions,
    context: CallContext,
  ): Promise<OutboundJson> => {
    const target = parseTarget(url, limits);
    const by = (agent: Agent): Promise<OutboundJson> =>
      withinDeadline(target.host, limits, context, (signal) =>
        sendJson(agent, target, call, limits, signal),
      );
    const { judgeServer, clientSvid } = limits;
    if (judgeServer === undefined) {
      if (clientSvid !== undefined) {
        throw new OutboundError("url", target.host, "an SVID is shown to a judged server alone");
      }
      return by(limits.unsafeAllowPrivate ? unsafe : strict);
    }
    const policy = limits.unsafeAllowPrivate ? "unsafe_private" : "public";
    const shown = clientSvid === undefined ? {} : { clientSvid };
    const own = createPolicedAgent({ policy, ...shared, judgeServer, ...shown });
    try {
      return await by(own);
    } finally {
      await own.destroy();
    }
  };
  return {
    getJson: (url, limits, context) => send(url, GET, limits, context),
    postJson: (url, { body, bearer }, limits, context) => {
      const headers = {
        "content-type": "application/json",
        authorization: `Bearer ${bearer.expose("upstream")}`,
      };
      return send(url, { method: "POST", headers, body: JSON.stringify(body) }, limits, context);
    },
    close: async () => {
      await Promise.all([strict.close(), unsafe.close()]);
    },
  };
}

interface OutboundCall {
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}
const GET: OutboundCall = { method: "GET", headers: {}, body: null };

function parseTarget(text: string, limits: OutboundOptions): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw new OutboundError("url", "(unreadable)", "the URL cannot be parsed");
  const mayBeHttp = limits.unsafeAllowPrivate && limits.judgeServer === undefined;
  if (url.protocol !== "https:" && !(mayBeHttp && url.protocol === "http:")) {
    throw new OutboundError("url", url.host, "the URL is not https");
  }
  if (url.username !== "" || url.password !== "") {
    throw new OutboundError("url", url.host, "the URL holds a user or a password");
  }
  if (!(limits.timeoutMs > 0 && limits.timeoutMs <= TIMEOUT_MS_MAX)) {
    throw new OutboundError("url", url.host, `timeoutMs: expected at most ${TIMEOUT_MS_MAX}`);
  }
  if (!(limits.maxBytes > 0 && limits.maxBytes <= BYTES_MAX)) {
    throw new OutboundError("url", url.host, `maxBytes: expected at most ${BYTES_MAX}`);
  }
  return url;
}

async function sendJson(
  agent: Agent,
  url: URL,
  call: OutboundCall,
  limits: OutboundOptions,
  signal: AbortSignal,
): Promise<OutboundJson> {
  const response = await agent.request({
    origin: url.origin,
    path: url.pathname + url.search,
    method: call.method,
    body: call.body,
    headers: {
      ...call.headers,
      accept: "application/json, application/jwk-set+json;q=0.9, */*;q=0.1",
      // Nothing is unpacked, so nothing small can become large.
      "accept-encoding": "identity",
      "user-agent": "mayfly",
    },
    signal,
  });
  const headers: Headers = response.headers;
  // A body that is dropped unread reports its own end as an error event, which nobody else hears.
  response.body.on("error", () => undefined);
  try {
    return await readAnswer(response, headers, url.host, limits);
  } catch (error) {
    response.body.destroy();
    throw error;
  }
}

async function readAnswer(
  { statusCode, body }: Dispatcher.ResponseData,
  headers: Headers,
  host: string,
  { maxBytes }: OutboundOptions,
): Promise<OutboundJson> {
  if (statusCode >= 300 && statusCode < 400) {
    throw new OutboundError("redirect", host, "it answered with a redirect, which is not followed");
  }
  const maxAge = maxAgeSeconds(text(headers["cache-control"]), text(headers["age"]));
  if (statusCode < 200 || statusCode > 299) {
    body.destroy();
    return { status: statusCode, body: null, text: "", maxAgeSeconds: maxAge };
  }
  const encoding = text(headers["content-encoding"]).toLowerCase();
  if (encoding !== "" && encoding !== "identity") {
    throw new OutboundError("encoding", host, "it answered in an encoding that was not asked for");
  }
  const bytes = await readBounded(body, maxBytes, text(headers["content-length"]), host);
  return { status: statusCode, ...parseJson(bytes, host), maxAgeSeconds: maxAge };
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function parseJson(bytes: Uint8Array, host: string): Pick<OutboundJson, "body" | "text"> {
  try {
    const decoded = utf8.decode(bytes);
    return { body: parseShallowJson(decoded), text: decoded };
  } catch {
    // The parser's message quotes the answer.
    throw new OutboundError("json", host, "it did not answer with JSON in UTF-8");
  }
}

const text = (value: string | string[] | undefined): string => [value ?? []].flat().join(",");

/** One deadline for all of it; the caller's own cancellation counts too. */
async function withinDeadline<T>(
  host: string,
  { timeoutMs }: OutboundOptions,
  context: CallContext,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const timer = new AbortController();
  const abort = (): void => stop.abort(new OutboundError("aborted", host, "it was cancelled"));
  if (context.signal.aborted) abort();
  context.signal.addEventListener("abort", abort, { once: true });
  const deadline = context.clock.sleep(timeoutMs, timer.signal).then(
    () => stop.abort(new OutboundError("deadline", host, `no answer within ${timeoutMs} ms`)),
    // The work was done before the time was up.
    () => undefined,
  );
  try {
    return await work(stop.signal);
  } catch (error) {
    throw asOutboundError(host, error, stop.signal);
  } finally {
    context.signal.removeEventListener("abort", abort);
    timer.abort(new Error("done"));
    await deadline;
  }
}

function asOutboundError(host: string, error: unknown, signal: AbortSignal): OutboundError {
  const reason: unknown = signal.reason;
  if (signal.aborted && reason instanceof OutboundError) return reason;
  if (error instanceof OutboundError) return error;
  return new OutboundError("connection", host, "the connection failed", error);
}
