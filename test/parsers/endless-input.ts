import { Worker } from "node:worker_threads";

/** Characters that are kept of an input. */
const INPUT_CHARACTERS_MAX = 1024 * 1024;

/** In the place of the count of inputs: the thread that watches is to end. */
export const NO_MORE_INPUTS = -1;

/** What the two threads share: a count of inputs, the length of the current one, and its text. */
export interface WatchedInput {
  readonly numbers: Int32Array<SharedArrayBuffer>;
  readonly text: Uint8Array<SharedArrayBuffer>;
  readonly what: string;
  readonly cpuMsMax: number;
}

export interface EndlessInputWatch {
  /** To be told before each input. */
  readonly beginning: (input: string) => void;
  stop(): Promise<void>;
}

/**
 * An input that is never done with holds the thread that parses it, and could be told by nobody: a
 * second thread writes it to standard error and kills the process, once the process has spent so
 * much CPU time on it. Time in which others had the processor is not counted.
 */
export function watchForEndlessInput(what: string, cpuMsMax: number): EndlessInputWatch {
  const watched: WatchedInput = {
    numbers: new Int32Array(new SharedArrayBuffer(8)),
    text: new Uint8Array(new SharedArrayBuffer(2 * INPUT_CHARACTERS_MAX)),
    what,
    cpuMsMax,
  };
  const bytes = Buffer.from(watched.text.buffer);
  const worker = new Worker(new URL("endless-input-thread.ts", import.meta.url), {
    workerData: watched,
  });
  return {
    beginning: (input) => {
      Atomics.store(watched.numbers, 1, bytes.write(input, "utf16le"));
      Atomics.add(watched.numbers, 0, 1);
    },
    stop: async () => {
      const ended = new Promise((resolve) => worker.once("exit", resolve));
      Atomics.store(watched.numbers, 0, NO_MORE_INPUTS);
      Atomics.notify(watched.numbers, 0);
      await ended;
    },
  };
}
