/** Work that goes on when its request is answered, or its client gone: a stop waits for it. */
export interface Afterwork {
  track<T>(work: Promise<T>): Promise<T>;
  /** Resolves when nothing that was tracked is under way. */
  idle(): Promise<void>;
}

export function createAfterwork(): Afterwork {
  const underWay = new Set<Promise<void>>();
  return {
    track: (work) => {
      const ended = (): void => {
        underWay.delete(settled);
      };
      const settled: Promise<void> = work.then(ended, ended);
      underWay.add(settled);
      return work;
    },
    idle: async () => {
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}
