import type { Clock } from "@mayfly/spec";

/** Between two pieces at least; each is one page of the ledger. */
const PIECE_MS_MIN = 25;
/** Who takes no piece for so long is cut off: a slow reader holds a place that others want. */
const SLOW_MS_MAX = 30_000;

export interface PacedOptions {
  readonly clock: Clock;
  readonly pieces: AsyncIterable<string>;
  /** Closes the connection of a reader who is too slow. */
  cut(): void;
  /** Called once, when nothing more will be read. */
  done(): void;
}

/** A body that is read piece by piece as its reader takes it: two pieces in memory at most. */
export function pacedStream(options: PacedOptions): ReadableStream<Uint8Array> {
  const { clock } = options;
  const pieces = options.pieces[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let waiting: AbortController | null = null;
  let isDone = false;
  const finish = (): void => {
    waiting?.abort();
    if (isDone) return;
    isDone = true;
    options.done();
  };
  const watch = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    const taken = new AbortController();
    waiting = taken;
    clock.sleep(SLOW_MS_MAX, taken.signal).then(
      () => {
        finish();
        controller.error(new Error("the reader took too long"));
        options.cut();
      },
      () => undefined,
    );
  };
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      waiting?.abort();
      try {
        const next = await pieces.next();
        if (isDone) return;
        if (next.done === true) {
          finish();
          controller.close();
          return;
        }
        controller.enqueue(encoder.encode(next.value));
        watch(controller);
        await clock.sleep(PIECE_MS_MIN);
      } catch (error) {
        finish();
        throw error;
      }
    },
    cancel: async () => {
      finish();
      await pieces.return?.();
    },
  });
}
