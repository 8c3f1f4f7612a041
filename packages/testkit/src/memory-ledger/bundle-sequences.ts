import type { BundleSequences, BundleSource, TrustRootName } from "@mayfly/spec";

export interface MemoryBundleSequences extends BundleSequences {
  forget(trustRoot: TrustRootName): void;
}

export function createBundleSequences(): MemoryBundleSequences {
  const known = new Map<string, bigint>();
  const keyOf = ({ trustRoot, sourceSha256 }: BundleSource): string =>
    `${trustRoot} ${sourceSha256}`;
  return {
    note: async (source, sequence) => {
      const before = known.get(keyOf(source)) ?? sequence;
      const newest = before > sequence ? before : sequence;
      known.set(keyOf(source), newest);
      return newest;
    },
    newest: async (source) => known.get(keyOf(source)) ?? null,
    forget: (trustRoot) => {
      for (const key of known.keys()) if (key.startsWith(`${trustRoot} `)) known.delete(key);
    },
  };
}
