import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "@mayfly/spec";

interface Unread {
  readonly socket: Socket;
  readonly dueMs: number;
}

/**
 * Cuts the connection of an answer that was handed over whole and that its reader does not take:
 * Node itself waits for ever, with the answer in memory and the connection's place taken.
 *
 * All have the same time, so that one sleep, until the oldest one's is over, is enough: a timer and
 * a signal for each answer cost more than to write it.
 */
export function createUnreadAnswers(
  server: Server,
  unreadMsMax: number,
  clock: Clock,
): (socket: Socket, response: ServerResponse) => void {
  /** In the order in which they were handed over. */
  const unread = new Set<Unread>();
  const closed = new AbortController();
  server.once("close", () => closed.abort(new Error("the server was closed")));
  let isAsleep = false;
  const sleep = (ms: number): void => {
    isAsleep = true;
    clock.sleep(ms, closed.signal).then(wake, () => undefined);
  };
  const wake = (): void => {
    isAsleep = false;
    const nowMs = clock.monotonicMs();
    for (const each of unread) {
      if (each.dueMs > nowMs) {
        sleep(each.dueMs - nowMs);
        return;
      }
      unread.delete(each);
      each.socket.destroy();
    }
  };
  return (socket, response) => {
    if (response.writableFinished || response.closed) return;
    const begin = (): void => {
      const answer = { socket, dueMs: clock.monotonicMs() + unreadMsMax };
      unread.add(answer);
      response.once("close", () => {
        unread.delete(answer);
      });
      if (!isAsleep) sleep(unreadMsMax);
    };
    // Of pipelined requests an answer waits for the ones before it, and that is no reader's fault.
    if (response.socket === null) response.once("socket", begin);
    else begin();
  };
}
