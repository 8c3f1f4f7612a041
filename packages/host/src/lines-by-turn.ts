import type { Clock } from "@mayfly/spec";

/** Where lines go: standard error in production. */
export interface LineStream {
  write(text: string): unknown;
}

/**
 * Gives a stream the lines of one turn of the event loop in one write: under load each exchange
 * writes one, and a write to a pipe costs as much as a query. What a process wrote before it exits
 * or throws comes out; of one that is killed the lines of its last turn are lost.
 */
export function linesByTurn(
  stream: LineStream,
  clock: Pick<Clock, "turn">,
  ends: Pick<NodeJS.Process, "on"> = process,
): LineStream {
  let waiting: string[] = [];
  const flush = (): void => {
    if (waiting.length === 0) return;
    const text = waiting.join("");
    waiting = [];
    stream.write(text);
  };
  ends.on("exit", flush);
  return {
    write: (line) => {
      if (waiting.length === 0) clock.turn().then(flush, flush);
      waiting.push(line);
    },
  };
}
