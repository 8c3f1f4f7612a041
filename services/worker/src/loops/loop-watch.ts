import type { Clock } from "@mayfly/spec";

/** Whether loops still turn: each says so as it begins a pass, and by when it will say so again. */
export interface LoopWatch {
  turned(name: string, againWithinMs: number): void;
  /** Each loop that ever turned, and whether it is in time. */
  loops(): readonly { readonly name: string; readonly ok: boolean }[];
}

export function createLoopWatch(clock: Pick<Clock, "monotonicMs">): LoopWatch {
  const dueMs = new Map<string, number>();
  return {
    turned: (name, againWithinMs) => {
      dueMs.set(name, clock.monotonicMs() + againWithinMs);
    },
    loops: () => {
      const now = clock.monotonicMs();
      return [...dueMs].map(([name, due]) => ({ name, ok: now <= due }));
    },
  };
}
