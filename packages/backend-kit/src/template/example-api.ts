import { apiOrigin, retryAfterSeconds, serverTls, upstreamFailures } from "@mayfly/backend-kit";
import {
  parseShallowJson,
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
  /** Rejects with an {@link ExampleFailure}, which never holds the token. */
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

/** How a call failed; `lost`: sent, and no answer that says what became of it. */
class ExampleFailure extends Error {
  readonly kind: "not_sent" | "lost" | "busy" | "refused";
  readonly retrySeconds: number;
  constructor(kind: ExampleFailure["kind"], message: string, retrySeconds = 1) {
    super(message);
    this.kind = kind;
    this.retrySeconds = retrySeconds;
  }
}

/** What else is thrown, such as by a parser of answers, came after something was sent. */
const failureOf = (thrown: unknown): ExampleFailure =>
  thrown instanceof ExampleFailure ? thrown : new ExampleFailure("lost", "not understood");

export const failures = upstreamFailures("Example", failureOf, (failure) => ({
  reason: failure.message,
  effect: failure.kind === "lost" ? "unknown" : "none",
  retrySeconds: failure.kind === "refused" ? null : failure.retrySeconds,
  upstreamFails: failure.kind !== "refused",
  throttled: failure.kind === "busy",
}));

async function callOnce(
  api: OutboundApi,
  { token }: ExampleConfig,
  { method, path, body, expect, beforeSend = () => undefined }: ApiCall,
  context: CallContext,
): Promise<ApiAnswer> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const text = body === undefined ? null : JSON.stringify(body);
  const outcome = await api.send({ method, path, headers, body: text, beforeSend }, context);
  switch (outcome.kind) {
    case "not_sent":
      throw new ExampleFailure("not_sent", "the upstream could not be reached; nothing was sent");
    case "lost":
      throw new ExampleFailure("lost", "no answer came, so it may have happened");
    case "answer":
      break;
  }
  const { status } = outcome;
  if (expect.includes(status)) return { status, body: readJson(outcome.text) };
  const seconds = retryAfterSeconds(outcome.headers["retry-after"]);
  if (status === 429) throw new ExampleFailure("busy", "429, too many requests", seconds);
  const kind = status < 400 || status >= 500 ? "lost" : "refused";
  throw new ExampleFailure(kind, `it answered ${status}`, seconds);
}

function readJson(text: string): unknown {
  if (text === "") return null;
  try {
    return parseShallowJson(text);
  } catch {
    // The parser's own message quotes the answer.
    throw new ExampleFailure("lost", "the answer is no JSON");
  }
}
