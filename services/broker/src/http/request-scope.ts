import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "hono";
import type { CallContext, Clock, Random } from "@mayfly/spec";

/** What the HTTP layer carries along a request. */
export type Env = {
  Bindings: { readonly incoming?: IncomingMessage; readonly outgoing?: ServerResponse };
  Variables: { call: CallContext };
};
export type HttpContext = Context<Env>;

/** How long a request may take in all before its backend calls are given up. */
const REQUEST_MS_MAX = 90_000;

/**
 * The call context of one request: its trace id, and a signal that is aborted at its deadline. Not
 * when the client goes: what was begun is brought to its end, and then ended.
 */
export function callContext(clock: Clock, random: Random): CallContext {
  return {
    clock,
    signal: AbortSignal.timeout(REQUEST_MS_MAX),
    traceId: Buffer.from(random.bytes(16)).toString("hex"),
  };
}
