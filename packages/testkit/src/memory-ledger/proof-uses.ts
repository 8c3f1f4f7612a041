import type { Clock, InstantMs, ProofUses } from "@mayfly/spec";

/** As the ledger's: each use takes away what has expired. */
export function createProofUses(clock: Clock): ProofUses {
  const used = new Map<string, InstantMs>();
  return {
    record: async ({ sha256, expiresAt }) => {
      const now = clock.now();
      for (const [known, until] of used) if (until < now) used.delete(known);
      if (used.has(sha256)) return false;
      used.set(sha256, expiresAt);
      return true;
    },
  };
}
