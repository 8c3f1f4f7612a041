import type { SealedValue, SealedValues } from "@mayfly/spec";

export interface FakeSealedValues extends SealedValues {
  /** By place; a test puts values there and looks at them. */
  readonly values: Map<string, SealedValue>;
}

/** Sealed values in memory, in the order of their places. */
export function createFakeSealedValues(): FakeSealedValues {
  const values = new Map<string, SealedValue>();
  return {
    values,
    page: async (after, limit) =>
      [...values.values()]
        .filter(({ place }) => after === null || place > after)
        .toSorted((a, b) => (a.place < b.place ? -1 : 1))
        .slice(0, limit),
    replace: async (resealed) => {
      let replaced = 0;
      for (const { value, sealed } of resealed) {
        const now = values.get(value.place);
        if (now === undefined || Buffer.compare(now.sealed, value.sealed) !== 0) continue;
        values.set(value.place, { ...now, sealed });
        replaced++;
      }
      return replaced;
    },
  };
}
