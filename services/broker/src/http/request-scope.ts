import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "hono";
import type { CallContext, Clock, Random, RemoteSpan } from "@mayfly/spec";
import type { CertificateChain } from "./peer-certificates.ts";

/** What the HTTP layer carries along a request. */
export type Env = {
  Bindings: { readonly incoming?: IncomingMessage; readonly outgoing?: ServerResponse };
  Variables: {
    call: CallContext;
    /** See `peer-certificates.ts`; looked for when it is asked for. */
    peerCertificates: () => CertificateChain | null;
    /**
     * Set once what was sent was read, or its sender is known: what is refused from then on is for
     * what it asks or proves, and not for its form.
     */
    understood?: true;
    /** Takes the request's place among those under way, once. Throws `busy`. */
    admit: () => void;
  };
};
export type HttpContext = Context<Env>;

/** As Node has parsed it, where the request is one of Node's: the adapter would parse it again. */
export function headerOf(c: HttpContext, name: Lowercase<string>): string | null {
  const incoming = c.env?.incoming;
  if (incoming === undefined) return c.req.header(name) ?? null;
  const value = incoming.headers[name];
  return typeof value === "string" ? value : (value?.join(", ") ?? null);
}

/** How long a request may take in all before its backend calls are given up. */
const REQUEST_MS_MAX = 90_000;
/** Without a reason of ours, each request would make an exception with its stack. */
const ANSWERED = new Error("the request was answered");

/**
 * The call context of one request: its trace id, the caller's where it sent one; and a signal that
 * is aborted at its deadline. Not when the client goes: what was begun is brought to its end, and
 * then ended. `finish` lets the deadline go.
 */
export function openCall(
  clock: Clock,
  random: Random,
  parent: RemoteSpan | null,
  clientAddress: string | null,
): { readonly call: CallContext; finish(): void } {
  const traceId = parent?.traceId ?? Buffer.from(random.bytes(16)).toString("hex");
  const deadline = lazyDeadline(clock);
  const call: CallContext = {
    clock,
    get signal() {
      return deadline.signal();
    },
    traceId,
    ...(clientAddress === null ? {} : { clientAddress }),
  };
  return { call, finish: deadline.finish };
}

/** Many requests end without anybody having asked for it: then there is no timer to stop. */
function lazyDeadline(clock: Clock): {
  readonly signal: () => AbortSignal;
  readonly finish: () => void;
} {
  const fromMs = clock.monotonicMs();
  let done: AbortController | null = null;
  let late: AbortController | null = null;
  return {
    signal: () => {
      if (late !== null) return late.signal;
      const own = new AbortController();
      late = own;
      done = new AbortController();
      clock.sleep(fromMs + REQUEST_MS_MAX - clock.monotonicMs(), done.signal).then(
        () => own.abort(new Error("the request took too long")),
        () => undefined,
      );
      return own.signal;
    },
    finish: () => {
      done?.abort(ANSWERED);
    },
  };
}
