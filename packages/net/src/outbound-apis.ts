import { Pool, type Dispatcher } from "undici";
import type { ApiOutcome, ApiRequest, ApiTarget, OutboundApi, OutboundApis } from "@mayfly/spec";
import { OutboundError } from "./outbound-error.ts";
import { policedConnector } from "./policed-agent.ts";
import { readBounded } from "./read-bounded.ts";

/** A connection that was kept is found dead only when it is used: then there is one more try. */
const TRIES_MAX = 2;

/** So many requests wait for one of the connections of an API. */
const WAITING_MAX = 4_096;

/** Who may send, in the order of asking. */
class Turns {
  #free: number;
  readonly #waiting: ((mine: boolean) => void)[] = [];
  constructor(count: number) {
    this.#free = count;
  }

  /** Whether it is one's turn; false when the signal came first, or too many wait. */
  take(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || this.#waiting.length >= WAITING_MAX) return Promise.resolve(false);
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(wake), 1);
        resolve(false);
      };
      const wake = (mine: boolean): void => {
        signal.removeEventListener("abort", leave);
        resolve(mine);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.push(wake);
    });
  }

  giveBack(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next(true);
  }
}

export const createOutboundApis = (): OutboundApis => ({ open: openApi });

function openApi(target: ApiTarget): OutboundApi {
  const { origin, tls, connections, timeoutMs } = target;
  const pool = new Pool(origin, {
    connections,
    pipelining: 1,
    connect: policedConnector({ timeout: timeoutMs, ...(tls === false ? {} : tls) }),
  });
  const closing = new AbortController();
  const turns = new Turns(connections);
  return {
    send: async (request, context) => {
      // Waiting for others is no part of the time that a request may take.
      const given = AbortSignal.any([context.signal, closing.signal]);
      if (!(await turns.take(given))) return { kind: "not_sent", why: "others were under way" };
      const stop = new AbortController();
      const late = context.clock.sleep(timeoutMs, stop.signal).then(
        () => stop.abort(new Error("no answer in time")),
        // The request was over before the time was up.
        () => undefined,
      );
      const signal = AbortSignal.any([given, stop.signal]);
      try {
        for (let tries = 1; ; tries++) {
          const outcome = await sendOnce(pool, target, request, signal);
          if (outcome.kind !== "not_sent" || tries === TRIES_MAX || signal.aborted) return outcome;
        }
      } finally {
        turns.giveBack();
        stop.abort(new Error("done"));
        await late;
      }
    },
    close: async () => {
      closing.abort(new Error("closed"));
      await pool.destroy();
    },
  };
}

async function sendOnce(
  pool: Pool,
  { origin, maxBytes }: ApiTarget,
  request: ApiRequest,
  signal: AbortSignal,
): Promise<ApiOutcome> {
  const leaving = { hasLeft: false, refused: false };
  const { method, path, headers, body } = request;
  try {
    const answer = await pool.compose(atStart(request, leaving)).request({
      method,
      path,
      body,
      // Nothing is unpacked, so nothing small can become large.
      headers: { "accept-encoding": "identity", "user-agent": "mayfly", ...headers },
      signal,
    });
    // A body that is dropped unread reports its own end as an error event.
    answer.body.on("error", () => undefined);
    const length = firstOf(answer.headers["content-length"]);
    const bytes = await readBounded(answer.body, maxBytes, length, new URL(origin).host);
    return {
      kind: "answer",
      status: answer.statusCode,
      headers: Object.fromEntries(
        Object.entries(answer.headers).map(([name, value]) => [name, firstOf(value)]),
      ),
      text: Buffer.from(bytes).toString("utf8"),
    };
  } catch (thrown) {
    if (leaving.refused) throw thrown;
    return { kind: leaving.hasLeft ? "lost" : "not_sent", why: reasonOf(thrown) };
  }
}

const firstOf = (value: string | string[] | undefined): string => [value ?? []].flat()[0] ?? "";

/** A code where there is one (ECONNREFUSED): messages may quote what was sent or answered. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return "unknown failure";
  if (thrown instanceof OutboundError) return thrown.message;
  const code: unknown = "code" in thrown ? thrown.code : undefined;
  return typeof code === "string" ? code : thrown.message;
}

/** Undici calls `onRequestStart` when a connection is there, just before it writes to it. */
function atStart(
  { beforeSend }: ApiRequest,
  leaving: { hasLeft: boolean; refused: boolean },
): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart: (controller, given) => {
        try {
          beforeSend?.();
        } catch (thrown) {
          leaving.refused = true;
          throw thrown;
        }
        leaving.hasLeft = true;
        handler.onRequestStart?.(controller, given);
      },
      onRequestUpgrade: (...given) => handler.onRequestUpgrade?.(...given),
      onResponseStart: (...given) => handler.onResponseStart?.(...given),
      onResponseData: (...given) => handler.onResponseData?.(...given),
      onResponseEnd: (...given) => handler.onResponseEnd?.(...given),
      onResponseError: (...given) => handler.onResponseError?.(...given),
    });
}
