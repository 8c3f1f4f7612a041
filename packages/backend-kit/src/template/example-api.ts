import { apiOrigin, serverTls } from "@mayfly/backend-kit";
import {
  BackendError,
  durationSeconds,
  type ApiRequest,
  type BackendHost,
  type CallContext,
  type OutboundApi,
} from "@mayfly/spec";
import type { ExampleConfig } from "./example-settings.ts";

export interface ApiCall {
  readonly method: ApiRequest["method"];
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
  /** Statuses that are answers; any other is a failure. */
  readonly expect: readonly number[];
  /** Throws where nothing may leave any more. */
  readonly beforeSend?: () => void;
}
export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

const CONNECTIONS = 8;
const ANSWER_BYTES_MAX = 4_194_304;

/** The upstream's API. Each call is made once, and its failure is honest about the effect. */
export interface ExampleApi {
  /** Rejects with a {@link BackendError}, which never holds the token. */
  call(call: ApiCall, context: CallContext): Promise<ApiAnswer>;
  close(): Promise<void>;
}

export function openApi(config: ExampleConfig, { apis }: BackendHost): ExampleApi {
  const tls = serverTls(config, config.host);
  const api = apis.open({
    origin: apiOrigin(config, tls),
    tls,
    connections: CONNECTIONS,
    timeoutMs: config.call_seconds_max * 1_000,
    maxBytes: ANSWER_BYTES_MAX,
  });
  return {
    call: (call, context) => callOnce(api, config, call, context),
    close: () => api.close(),
  };
}

async function callOnce(
  api: OutboundApi,
  { token }: ExampleConfig,
  { method, path, body, expect, beforeSend = () => undefined }: ApiCall,
  context: CallContext,
): Promise<ApiAnswer> {
  const what = `Example, ${method} ${path.split("?")[0] ?? ""}`;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const text = body === undefined ? null : JSON.stringify(body);
  const outcome = await api.send({ method, path, headers, body: text, beforeSend }, context);
  switch (outcome.kind) {
    case "not_sent":
      throw failing("none", `${what}: the upstream could not be reached; nothing was sent`);
    case "lost":
      throw failing("unknown", `${what}: no answer came, so it may have happened`);
    case "answer":
      break;
  }
  const { status } = outcome;
  if (expect.includes(status)) return { status, body: readJson(outcome.text, what) };
  const seconds = retryAfter(outcome.headers["retry-after"]);
  if (status === 429) throw failing("none", `${what}: 429, too many requests`, seconds);
  if (status < 400 || status >= 500) {
    throw failing("unknown", `${what}: it answered ${status}`, seconds);
  }
  throw new BackendError(`${what}: it answered ${status}`, {
    effect: "none",
    retry: { kind: "never" },
  });
}

/** Of the upstream, and not of one lease: a breaker counts it. */
const failing = (effect: BackendError["effect"], message: string, seconds = 1): BackendError =>
  new BackendError(message, {
    effect,
    retry: { kind: "after", seconds: durationSeconds(seconds) },
    upstreamFails: true,
  });

/** RFC 9110 section 10.2.3, of its two forms the one in seconds. */
function retryAfter(text: string | undefined): number {
  const seconds = Number(text);
  return Number.isInteger(seconds) && seconds > 0 ? Math.min(seconds, 3_600) : 1;
}

function readJson(text: string, what: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the answer.
    throw failing("unknown", `${what}: the answer is no JSON`);
  }
}
