import type { ProcessSignals, SignalName, Surroundings } from "./surroundings.ts";

const NAMES = ["SIGTERM", "SIGINT", "SIGHUP"] as const satisfies readonly SignalName[];

type Cancel = (by: SignalName) => Promise<unknown>;

/**
 * Cancels open tasks when the process is told to end, then lets the signal do its work: what it
 * would have done without us, unless the program listens to it too and decides for itself. While no
 * task is open nothing listens. A second signal waits no longer.
 */
class SignalWatch {
  readonly #signals: ProcessSignals;
  readonly #cancels = new Set<Cancel>();
  readonly #handlers: ReadonlyMap<SignalName, () => void>;
  #off: (() => void)[] = [];
  #isEnding = false;

  constructor(signals: ProcessSignals) {
    this.#signals = signals;
    this.#handlers = new Map(NAMES.map((name) => [name, () => this.#heed(name)]));
  }

  add(cancel: Cancel): () => void {
    this.#cancels.add(cancel);
    if (this.#cancels.size === 1) this.#listen();
    return () => {
      this.#cancels.delete(cancel);
      if (this.#cancels.size === 0 && !this.#isEnding) this.#stop();
    };
  }

  #listen(): void {
    if (this.#off.length > 0) return;
    this.#off = [...this.#handlers].map(([name, handler]) => this.#signals.on(name, handler));
  }

  #stop(): void {
    for (const off of this.#off) off();
    this.#off = [];
  }

  #heed(name: SignalName): void {
    if (this.#isEnding) {
      this.#pass(name);
      return;
    }
    this.#isEnding = true;
    const cancels = [...this.#cancels].map((cancel) => cancel(name));
    Promise.allSettled(cancels).then(
      () => {
        this.#isEnding = false;
        this.#pass(name);
      },
      () => undefined,
    );
  }

  #pass(name: SignalName): void {
    const ours = this.#handlers.get(name);
    const others = ours === undefined ? 0 : this.#signals.others(name, ours);
    if (others > 0) {
      if (this.#cancels.size === 0) this.#stop();
      return;
    }
    this.#stop();
    this.#signals.raise(name);
  }
}

const watches = new WeakMap<Surroundings, SignalWatch>();

/** Until the answer is called, the signals of the process call `cancel` before anything else. */
export function cancelOnSignals(around: Surroundings, cancel: Cancel): () => void {
  const watch = watches.get(around) ?? new SignalWatch(around.signals);
  watches.set(around, watch);
  return watch.add(cancel);
}
