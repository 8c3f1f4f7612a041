import type { DpopKey } from "./dpop-key.ts";
import { MayflyError } from "./mayfly-error.ts";
import { fieldsOf, textIn, textsIn, type Fields } from "./read-answer.ts";
import type { Secret } from "./secret.ts";
import type { Surroundings } from "./surroundings.ts";

export interface Call {
  readonly method: "GET" | "POST";
  /** Below the broker's URL. */
  readonly path: string;
  readonly token?: Secret;
  /** A form body, already encoded, so that a repetition is the same byte for byte. */
  readonly form?: string;
  readonly json?: Readonly<Record<string, unknown>>;
  readonly idempotencyKey?: string;
  /** Whether sending it twice does no more than sending it once. */
  readonly repeatable: boolean;
  /** Of one attempt. */
  readonly timeoutMs: number;
  /** Of all attempts and the waits between them. */
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface BrokerHttp {
  readonly url: URL;
  /** How its task tokens are sent; others are not taken. */
  readonly tokenType: "Bearer" | "DPoP";
  /** The JSON object of a 2xx answer. Throws {@link MayflyError}, of the broker or about it. */
  send(call: Call): Promise<Fields>;
  /** How far the broker's clock is ahead of this machine's, by its last answer; to a second. */
  aheadMs(): number;
}

const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const ATTEMPTS_MAX = 5;
const FIRST_WAIT_MS = 200;
const WAIT_MS_MAX = 5_000;
/** Codes that say that nothing happened and that it may work later. */
const LATER = new Set([
  "busy",
  "rate_limited",
  "issuing_paused",
  "ledger_unavailable",
  "backend_unavailable",
]);

/** A Date header has no fractions, and was written before it came here. */
const DATE_IS_WITHIN_MS = 2_000;

export interface BrokerHttpOptions {
  /** Proves each request; null: nothing does. */
  readonly key: DpopKey | null;
  /** As was seen before, at the same broker. */
  readonly aheadMs: number;
}

export function createBrokerHttp(
  url: URL,
  around: Surroundings,
  options: BrokerHttpOptions = { key: null, aheadMs: 0 },
): BrokerHttp {
  let { aheadMs } = options;
  let nonce: string | null = null;
  const heed = (response: Response): void => {
    const ahead = Date.parse(response.headers.get("date") ?? "") - around.clock.now();
    if (!Number.isNaN(ahead)) aheadMs = Math.abs(ahead) <= DATE_IS_WITHIN_MS ? 0 : ahead;
    nonce = response.headers.get("dpop-nonce") ?? nonce;
  };
  /** A proof counts once: each attempt has its own. */
  const prove = async ({ method, path, token }: Call): Promise<string | null> =>
    options.key?.proof({ method, path, token, nonce, aheadMs }) ?? null;
  const sendProven = async (call: Call, timeoutMs: number): Promise<Fields> =>
    sendOnce(url, around, call, await prove(call), timeoutMs, heed);
  return {
    url,
    tokenType: options.key === null ? "Bearer" : "DPoP",
    aheadMs: () => aheadMs,
    send: async (call) => {
      const { clock } = around;
      const byMs = clock.monotonicMs() + call.withinMs;
      for (let attempt = 1; ; attempt++) {
        const left = byMs - clock.monotonicMs();
        try {
          const timeoutMs = Math.min(call.timeoutMs, Math.max(1, left));
          return await sendProven(call, timeoutMs).catch((error: unknown) => {
            // Nothing was done for it, and the answer had a nonce.
            if (!isForNonce(error)) throw error;
            return sendProven(call, timeoutMs);
          });
        } catch (error) {
          const waitMs = waitBefore(error, attempt, around);
          const isLast = attempt >= ATTEMPTS_MAX || clock.monotonicMs() + waitMs >= byMs;
          const mayRepeat = call.repeatable && call.signal?.aborted !== true;
          if (isLast || !mayRepeat || !isWorthRepeating(error)) throw error;
          await clock.sleep(waitMs, call.signal);
        }
      }
    },
  };
}

const isForNonce = (error: unknown): boolean =>
  MayflyError.is(error) && error.code === "use_dpop_nonce";

function isWorthRepeating(error: unknown): boolean {
  if (!MayflyError.is(error)) return false;
  if (error.code === "broker_unreachable" || LATER.has(error.code)) return true;
  // A proxy before the broker, which knows no codes.
  return error.code === "not_a_broker" && [502, 503, 504].includes(error.status ?? 0);
}

/** What Retry-After says; otherwise doubling. With jitter: a crowd must not come back as one. */
function waitBefore(error: unknown, attempt: number, around: Surroundings): number {
  const base = Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** (attempt - 1));
  const jitter = (around.randomBytes(1)[0] ?? 0) / 256;
  const asked = MayflyError.is(error) ? (error.retryAfterSeconds ?? 0) * 1_000 : 0;
  return asked > 0 ? asked + base * jitter : base * (0.5 + jitter / 2);
}

async function sendOnce(
  url: URL,
  around: Surroundings,
  call: Call,
  proof: string | null,
  timeoutMs: number,
  heed: (response: Response) => void,
): Promise<Fields> {
  const stop = new AbortController();
  const abort = (): void => stop.abort(call.signal?.reason);
  if (call.signal?.aborted === true) abort();
  call.signal?.addEventListener("abort", abort, { once: true });
  const done = new AbortController();
  let isLate = false;
  // Nobody waits for this timer; it ends with the call.
  around.clock.sleep(timeoutMs, done.signal).then(
    () => {
      isLate = true;
      stop.abort();
    },
    () => undefined,
  );
  try {
    const response = await around.fetch(urlOf(url, call.path), {
      ...requestOf(call, proof),
      signal: stop.signal,
    });
    heed(response);
    return answerOf(response, await readBounded(response), url);
  } catch (error) {
    if (MayflyError.is(error)) throw error;
    if (call.signal?.aborted === true) throw call.signal.reason;
    throw unreachable(
      url,
      isLate ? `no answer within ${(timeoutMs / 1_000).toFixed(1)} s` : reasonOf(error),
    );
  } finally {
    done.abort();
    call.signal?.removeEventListener("abort", abort);
  }
}

const urlOf = (base: URL, path: string): string => `${base.href.replace(/\/$/, "")}${path}`;

function requestOf(call: Call, proof: string | null): RequestInit {
  const { token, form, json, idempotencyKey } = call;
  const body = form ?? (json === undefined ? undefined : JSON.stringify(json));
  return {
    method: call.method,
    // A redirect would carry the token to somebody else.
    redirect: "error",
    headers: {
      accept: "application/json",
      ...(token === undefined
        ? {}
        : { authorization: `${proof === null ? "Bearer" : "DPoP"} ${token.expose()}` }),
      ...(proof === null ? {} : { dpop: proof }),
      ...(form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
      ...(json === undefined ? {} : { "content-type": "application/json" }),
      ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
    },
    ...(body === undefined ? {} : { body }),
  };
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  for await (const chunk of response.body ?? []) {
    const piece: unknown = chunk;
    if (!(piece instanceof Uint8Array)) continue;
    bytes += piece.byteLength;
    if (bytes > ANSWER_BYTES_MAX) {
      throw notABroker(response.status, "its answer is longer than 4 MiB");
    }
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

function answerOf(response: Response, text: string, url: URL): Fields {
  const body = fieldsOf(parsed(text));
  if (response.ok) {
    if (body !== null) return body;
    throw notABroker(response.status, "its answer is no JSON object", url);
  }
  const code = body === null ? null : textIn(body, "code");
  if (body === null || code === null) {
    throw notABroker(response.status, `it answered ${response.status} without a code`, url);
  }
  throw refusal(response, code, body);
}

/** RFC 6749 section 5.2 at the token endpoint, RFC 9457 elsewhere. */
function refusal(response: Response, code: string, body: Fields): MayflyError {
  return new MayflyError({
    code,
    what: textIn(body, "error_description") ?? textIn(body, "detail") ?? `It refused: ${code}.`,
    where: textIn(body, "where"),
    hint: textIn(body, "hint") ?? textIn(body, "todo"),
    decision: textIn(body, "decision"),
    determiningPolicies: textsIn(body, "determining_policies"),
    trace: textIn(body, "trace"),
    retryAfterSeconds: retryAfterOf(response),
    status: response.status,
  });
}

/** Seconds; the broker sends no dates. */
function retryAfterOf(response: Response): number | null {
  const text = response.headers.get("retry-after") ?? "";
  return /^\d{1,6}$/.test(text) ? Number(text) : null;
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return null;
  }
}

const notABroker = (status: number, why: string, url?: URL): MayflyError =>
  new MayflyError({
    code: "not_a_broker",
    what: `What answers there is not a Mayfly broker: ${why}.`,
    ...(url === undefined ? {} : { where: url.origin }),
    hint: "Give the broker's own URL: the `url` option or MAYFLY_URL.",
    status,
  });

const unreachable = (url: URL, why: string): MayflyError =>
  new MayflyError({
    code: "broker_unreachable",
    what: `No broker answers at ${url.origin}: ${why}.`,
    where: "MAYFLY_URL",
    hint: "Start it, or give another URL: the `url` option or MAYFLY_URL.",
  });

/** `fetch failed` hides what failed in its cause. Codes of the system name hosts, never headers. */
function reasonOf(error: unknown): string {
  let at: unknown = error;
  for (let depth = 0; depth < 4 && at instanceof Error; depth++, at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
  }
  return error instanceof Error ? error.name : "it failed";
}
