import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "hono";
import type { CallContext, Clock, Random, RemoteSpan } from "@mayfly/spec";

/** What the HTTP layer carries along a request. */
export type Env = {
  Bindings: { readonly incoming?: IncomingMessage; readonly outgoing?: ServerResponse };
  Variables: {
    call: CallContext;
    /** Takes the request's place among those under way, once. Throws `busy`. */
    admit: () => void;
  };
};
export type HttpContext = Context<Env>;

/** How long a request may take in all before its backend calls are given up. */
const REQUEST_MS_MAX = 90_000;

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
  const late = new AbortController();
  const done = new AbortController();
  clock.sleep(REQUEST_MS_MAX, done.signal).then(
    () => late.abort(new Error("the request took too long")),
    () => undefined,
  );
  const traceId = parent?.traceId ?? Buffer.from(random.bytes(16)).toString("hex");
  const call = {
    clock,
    signal: late.signal,
    traceId,
    ...(clientAddress === null ? {} : { clientAddress }),
  };
  return { call, finish: () => done.abort() };
}
