import type { BundleSequences, BundleSource } from "@mayfly/spec";

/** Within one process alone. Bounded by the trust roots that were ever registered. */
export function createSeenSequences(): BundleSequences {
  const seen = new Map<string, bigint>();
  const keyOf = ({ trustRoot, sourceSha256 }: BundleSource): string =>
    `${trustRoot} ${sourceSha256}`;
  return {
    note: async (source, sequence) => {
      const before = seen.get(keyOf(source)) ?? sequence;
      const newest = before > sequence ? before : sequence;
      seen.set(keyOf(source), newest);
      return newest;
    },
    newest: async (source) => seen.get(keyOf(source)) ?? null,
  };
}
