import type { ApiRequest, BackendHost, CallContext, Clock, OutboundApi } from "@mayfly/spec";
import type { ServiceAddress } from "./account-settings.ts";
import { AwsFailure, failureOf, type Sent } from "./aws-failure.ts";

/** Ours are some kilobytes; a role has at most 10,240 characters of inline policies. */
const ANSWER_BYTES_MAX = 1024 * 1024;

/** What the SDK hands a request handler of one request, as far as it is used. */
interface SdkRequest {
  readonly method: string;
  readonly hostname: string;
  readonly path: string;
  readonly query: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** What `client.send` is given as its options, and hands on to the handler. */
export interface SdkCall {
  readonly abortSignal: AbortSignal;
  readonly context: CallContext;
  readonly beforeSend: () => void;
  /** Null until the handler was reached: then the SDK failed before it. */
  sent: Sent | null;
}

export interface Transport {
  readonly handler: ReturnType<typeof requestHandler>;
  close(): Promise<void>;
}

/**
 * The SDK's requests by the one way out that Mayfly has: it knows whether a byte has left, tests
 * the deadline at the last moment, and sends nothing twice.
 */
export function createTransport(
  { apis, clock }: Pick<BackendHost, "apis" | "clock">,
  { origin, tls }: ServiceAddress,
  { slots, seconds }: { readonly slots: number; readonly seconds: number },
): Transport {
  const api = apis.open({
    origin,
    tls,
    connections: slots,
    timeoutMs: seconds * 1_000,
    maxBytes: ANSWER_BYTES_MAX,
  });
  const { hostname } = new URL(origin);
  return { handler: requestHandler(api, hostname, clock), close: () => api.close() };
}

/** As the SDK asks for it; nothing of it is the SDK's to set. */
const requestHandler = (api: OutboundApi, hostname: string, clock: Clock) => ({
  metadata: { handlerProtocol: "http/1.1" },
  handle: async (request: SdkRequest, options: Partial<SdkCall> = {}) => {
    const { abortSignal: signal = new AbortController().signal } = options;
    const context = options.context ?? { clock, signal, traceId: "" };
    const outcome = await api.send(toApi(request, hostname, options.beforeSend), {
      ...context,
      signal,
    });
    if (outcome.kind !== "answer") {
      options.sent = outcome;
      throw new AwsFailure(outcome.kind, outcome.why);
    }
    const { status, headers, text } = outcome;
    options.sent = { kind: "answer", status, retryAfter: headers["retry-after"] };
    return { response: { statusCode: status, headers, body: Buffer.from(text, "utf8") } };
  },
  updateHttpClientConfig: () => undefined,
  httpHandlerConfigs: () => ({}),
});

function toApi(
  request: SdkRequest,
  hostname: string,
  beforeSend: (() => void) | undefined,
): ApiRequest {
  const { method, path, query, headers, body } = request;
  // It would be sent to the one address that this transport has, with what is for another.
  if (request.hostname !== hostname) {
    throw new AwsFailure("not_sent", "the SDK asked for another address than the settings name");
  }
  // STS and IAM are asked by POST alone, with a form: what is else is a defect.
  if (method !== "POST" || Object.keys(query).length > 0) {
    throw new AwsFailure("not_sent", "the SDK asked in a way that is not expected");
  }
  const { "content-length": _, ...sent } = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return {
    method,
    path,
    headers: sent,
    body: typeof body === "string" ? body : Buffer.from(bytesOf(body)).toString("utf8"),
    ...(beforeSend === undefined ? {} : { beforeSend }),
  };
}

function bytesOf(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body;
  throw new AwsFailure("not_sent", "the SDK sent no text");
}

/** One call of the SDK. Rejects with {@link AwsFailure}, or with what `beforeSend` throws. */
export async function callAws<T>(
  context: CallContext,
  send: (options: SdkCall) => Promise<T>,
  beforeSend: () => void = () => undefined,
): Promise<T> {
  let refusal: { readonly thrown: unknown } | null = null;
  const call: SdkCall = {
    abortSignal: context.signal,
    context,
    sent: null,
    beforeSend: () => {
      try {
        beforeSend();
      } catch (thrown) {
        refusal = { thrown };
        throw thrown;
      }
    },
  };
  try {
    return await send(call);
  } catch (thrown) {
    const refused = refusal as { readonly thrown: unknown } | null;
    if (refused !== null) throw refused.thrown;
    // Before this request there was one for the broker's own keys, and that failed.
    if (call.sent === null && thrown instanceof AwsFailure) {
      const { code, message } = thrown;
      throw new AwsFailure("not_sent", `the broker's own credentials: ${message}`, { code });
    }
    throw failureOf(thrown, call.sent);
  }
}
