import type { InstantMs } from "@mayfly/spec";
import type { KeySet } from "./parse-jwk-set.ts";
import type { JsonMap } from "./parse-compact-jwt.ts";

export interface VerifiedToken {
  /** The trust root's verifier that vouched: another one must verify by itself. */
  readonly owner: object;
  /** The keys it was verified with: with other keys it is verified again. */
  readonly keys: KeySet;
  readonly claims: JsonMap;
  readonly expiresAt: InstantMs;
}

/**
 * Cache: signatures that verified, by the hash of the whole token. Saves the signature check
 * alone; the claims are judged anew on each use. Bounded, the older half out at once, cleared when
 * the trust roots are replaced, never used for one-time tokens nor past `exp`.
 */
export interface VerifiedTokens {
  find(sha256: string, owner: object, keys: KeySet, now: InstantMs): JsonMap | null;
  keep(sha256: string, token: VerifiedToken): void;
  clear(): void;
  readonly size: number;
}

export function createVerifiedTokens(entriesMax: number): VerifiedTokens {
  // Two halves, of which the older is dropped whole: to take single entries out of a map of
  // thousands costs as much as a tenth of the signature.
  const newerMax = Math.ceil(entriesMax / 2);
  let newer = new Map<string, VerifiedToken>();
  let older = new Map<string, VerifiedToken>();
  return {
    find: (sha256, owner, keys, now) => {
      const entry = newer.get(sha256) ?? older.get(sha256);
      if (entry === undefined) return null;
      const counts = entry.owner === owner && entry.keys === keys && now < entry.expiresAt;
      return counts ? entry.claims : null;
    },
    keep: (sha256, token) => {
      if (entriesMax === 0) return;
      if (newer.size >= newerMax && !newer.has(sha256)) {
        older = 2 * newer.size > entriesMax ? new Map<string, VerifiedToken>() : newer;
        newer = new Map();
      }
      newer.set(sha256, token);
    },
    clear: () => {
      newer = new Map();
      older = new Map();
    },
    get size() {
      return newer.size + older.size;
    },
  };
}
