import type { Clock } from "@mayfly/spec";

/** What a connection writes to: another one after it has connected again. */
interface Written {
  readonly stream?: { cork(): void; uncork(): void } | undefined;
}

/**
 * Answers what is called before each command: what the commands of one turn of the event loop write
 * leaves as one, at the end of the turn. Each write is a system call that wakes the server, and
 * exchanges that are committed together schedule their ends in one turn.
 */
export function turnWrites(connection: Written, clock: Pick<Clock, "turn">): () => void {
  let held: Written["stream"];
  return () => {
    const { stream } = connection;
    if (stream === undefined || stream === held) return;
    held = stream;
    stream.cork();
    const release = (): void => {
      if (held === stream) held = undefined;
      stream.uncork();
    };
    clock.turn().then(release, release);
  };
}
