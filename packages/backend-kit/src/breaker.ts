import type { Clock } from "@mayfly/spec";

export type BreakerState = "closed" | "half_open" | "open";

/** How a call that was let through came out. `unknown`: it says nothing of the upstream. */
export type CallResult = "answered" | "failed" | "unknown";

/**
 * Opens after some failures in a row, and then lets one call through at a time, the next one
 * `open_seconds` after the last failed. Only issuing is asked of it: an end that is held back
 * would count as one that failed, and leave a credential alive.
 *
 * By hand and not cockatiel's or opossum's: time is injected here, and a simulator stops it.
 */
export class Breaker {
  readonly #clock: Clock;
  readonly #settings: { readonly failures: number; readonly open_seconds: number };
  readonly #tell: (state: BreakerState) => void;
  #failures = 0;
  #nextTrialMs: number | null = null;
  #trying = false;

  constructor(
    clock: Clock,
    settings: { readonly failures: number; readonly open_seconds: number },
    tell: (state: BreakerState) => void,
  ) {
    this.#clock = clock;
    this.#settings = settings;
    this.#tell = tell;
  }

  /** For how many seconds a call would be held back now; null: it would not be. */
  heldBackSeconds(): number | null {
    if (this.#nextTrialMs === null) return null;
    const leftMs = this.#nextTrialMs - this.#clock.monotonicMs();
    return this.#trying || leftMs > 0 ? Math.max(1, leftMs / 1000) : null;
  }

  /** Only when nothing holds it back, at the moment it is made; call the answer with its result. */
  enter(): (result: CallResult) => void {
    if (this.#nextTrialMs === null) return (result) => this.#count(result);
    this.#trying = true;
    this.#tell("half_open");
    return (result) => {
      this.#trying = false;
      this.#count(result);
    };
  }

  #count(result: CallResult): void {
    switch (result) {
      case "answered":
        this.#failures = 0;
        if (this.#nextTrialMs !== null) this.#tell("closed");
        this.#nextTrialMs = null;
        return;
      case "failed":
        this.#failures++;
        if (this.#failures < this.#settings.failures) return;
        this.#nextTrialMs = this.#clock.monotonicMs() + this.#settings.open_seconds * 1000;
        this.#tell("open");
        return;
      case "unknown":
        if (this.#nextTrialMs !== null) this.#tell("open");
    }
  }
}
