import type { Clock } from "@mayfly/spec";

export type BreakerState = "closed" | "half_open" | "open";

/** How a call that was let through came out. `unknown`: it says nothing of the upstream. */
export type CallResult = "answered" | "failed" | "unknown";

/**
 * Opens after some failures in a row, and then lets one call through at a time, the next one
 * `open_seconds` after the last failed. So whoever sweeps is the trial, however long the upstream
 * is away, and nothing is held back for good.
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

  /** Null: go on, and say how it came out. Otherwise for how many seconds not to. */
  enter(): { readonly waitSeconds: number } | { readonly leave: (result: CallResult) => void } {
    if (this.#nextTrialMs === null) return { leave: (result) => this.#count(result) };
    const leftMs = this.#nextTrialMs - this.#clock.monotonicMs();
    if (this.#trying || leftMs > 0) return { waitSeconds: Math.max(1, leftMs / 1000) };
    this.#trying = true;
    this.#tell("half_open");
    return {
      leave: (result) => {
        this.#trying = false;
        this.#count(result);
      },
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
