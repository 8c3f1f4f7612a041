import { BrokerError, type BackendId, type Clock } from "@mayfly/spec";

/** Wrong secrets that are compared with a backend's in a row; then one in so many seconds. */
const GUESSES_AT_ONCE = 30;
const SECONDS_PER_GUESS = 10;

/**
 * Who may register a backend learns from a plan whether a secret is the stored one, and could guess
 * at it without the backend ever seeing a login. So this process compares with few wrong ones.
 */
export interface GuessPace {
  /**
   * Called before a comparison; the answer, after one that found no secret to differ. Throws `busy`
   * once there were too many: also for a right one, or the refusal would tell.
   */
  begin(id: BackendId): () => void;
}

interface Bucket {
  left: number;
  atMs: number;
}

export function createGuessPace(clock: Pick<Clock, "monotonicMs">): GuessPace {
  const buckets = new Map<BackendId, Bucket>();
  const bucketOf = (id: BackendId): Bucket => {
    const now = clock.monotonicMs();
    const known = buckets.get(id) ?? { left: GUESSES_AT_ONCE, atMs: now };
    const earned = (now - known.atMs) / (SECONDS_PER_GUESS * 1000);
    const bucket = { left: Math.min(GUESSES_AT_ONCE, known.left + earned), atMs: now };
    buckets.set(id, bucket);
    return bucket;
  };
  return {
    begin: (id) => {
      const bucket = bucketOf(id);
      if (bucket.left < 1) {
        throw new BrokerError(
          "busy",
          `Too many secrets in a row were compared with that of ${id}, and were other ones.`,
          { where: id, retryAfterSeconds: SECONDS_PER_GUESS },
        );
      }
      bucket.left -= 1;
      return () => {
        bucketOf(id).left += 1;
      };
    },
  };
}
