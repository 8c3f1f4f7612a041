import { BrokerError, type Clock, type Log } from "@mayfly/spec";

export interface SourcePaceSettings {
  /** Refused proofs that a source may have in a row. */
  readonly failuresAtOnce: number;
  /** How many of them it earns again in a second; 0: no source is ever paced. */
  readonly failuresPerSecond: number;
}

/** What a source has presented that proved nothing. Kept by each process for itself. */
export interface SourcePace {
  /** Whether it is not listened to now. A null address always is. */
  refuses(address: string | null): boolean;
  /** It presented what proves nothing. */
  failed(address: string | null): void;
}

/** Nobody is ever refused. */
export const unpaced: SourcePace = { refuses: () => false, failed: () => undefined };

interface Bucket {
  left: number;
  atMs: number;
}

/** Of more, the one that was heard of first is forgotten, which is in its favour. */
const SOURCES_MAX = 100_000;
const TOLD_EVERY_MS = 60_000;

/**
 * Bounds what a stranger has the broker do before anybody is known: signatures verified, keys
 * fetched, refusals logged. Counted are refused proofs alone, so that however many workloads share
 * an address, those whose proofs hold are not slowed.
 */
export function createSourcePace(
  { failuresAtOnce, failuresPerSecond }: SourcePaceSettings,
  { clock, log }: { readonly clock: Pick<Clock, "monotonicMs">; readonly log: Log },
): SourcePace {
  const buckets = new Map<string, Bucket>();
  let toldMs = Number.NEGATIVE_INFINITY;
  const leftOf = ({ left, atMs }: Bucket, now: number): number =>
    Math.min(failuresAtOnce, left + ((now - atMs) / 1000) * failuresPerSecond);
  const tell = (source: string, now: number): void => {
    if (now - toldMs < TOLD_EVERY_MS) return;
    toldMs = now;
    log.warn("a source is not listened to for a while: too many of its proofs were refused", {
      source,
    });
  };
  if (failuresPerSecond === 0) return unpaced;
  return {
    refuses: (address) => {
      if (address === null || buckets.size === 0) return false;
      const source = sourceOf(address);
      const bucket = buckets.get(source);
      if (bucket === undefined) return false;
      const left = leftOf(bucket, clock.monotonicMs());
      if (left >= failuresAtOnce) buckets.delete(source);
      return left < 1;
    },
    failed: (address) => {
      if (address === null) return;
      const source = sourceOf(address);
      const now = clock.monotonicMs();
      const known = buckets.get(source);
      const before = known === undefined ? failuresAtOnce : leftOf(known, now);
      const left = Math.max(0, before - 1);
      if (known === undefined) makeRoom(buckets);
      buckets.set(source, { left, atMs: now });
      if (before >= 1 && left < 1) tell(source, now);
    },
  };
}

function makeRoom(buckets: Map<string, Bucket>): void {
  if (buckets.size < SOURCES_MAX) return;
  const oldest = buckets.keys().next();
  if (oldest.done !== true) buckets.delete(oldest.value);
}

/** An IPv4 address; of an IPv6 one its /64, all of whose addresses one host may take. */
export function sourceOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::", 2);
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill("0"), ...after];
  const first = groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, ""));
  return `${first.join(":")}::/64`;
}

/** Its proofs were refused too often for it to be listened to now. */
export const tooOften = new BrokerError(
  "rate_limited",
  "Too many proofs of identity from this address were refused in a row.",
  { retryAfterSeconds: 1 },
);
