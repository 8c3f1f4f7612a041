/** Lets at most `limit` run at once; the others wait in the order they came. */
export interface Slots {
  run<T>(work: () => Promise<T>): Promise<T>;
  /** From now on; what runs already runs on. */
  resize(limit: number): void;
}

export function createSlots(slots: number): Slots {
  let limit = slots;
  let taken = 0;
  const waiting: (() => void)[] = [];
  const letIn = (): void => {
    while (taken < limit) {
      const next = waiting.shift();
      if (next === undefined) return;
      taken++;
      next();
    }
  };
  return {
    run: async (work) => {
      if (taken < limit) taken++;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await work();
      } finally {
        taken--;
        letIn();
      }
    },
    resize: (next) => {
      limit = next;
      letIn();
    },
  };
}
