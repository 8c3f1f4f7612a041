import type { ServerResponse } from "node:http";

/**
 * Calls `lost` once if the answer does not reach the socket: the client has gone already, or goes
 * before the last byte was handed to the operating system. Without a Node response (in-process
 * calls) nothing gets lost.
 */
export function whenLost(outgoing: ServerResponse | undefined, lost: () => void): void {
  if (outgoing === undefined) return;
  if (outgoing.destroyed || outgoing.closed || outgoing.req.socket.destroyed) {
    lost();
    return;
  }
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) lost();
  });
}

/** Aborted when the client goes away before it was answered. */
export function goneSignal(outgoing: ServerResponse | undefined): AbortSignal {
  const gone = new AbortController();
  whenLost(outgoing, () => gone.abort(new Error("the client has gone")));
  return gone.signal;
}
