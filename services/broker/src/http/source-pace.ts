import { BrokerError, type Clock, type Log } from "@mayfly/spec";

export interface SourcePaceSettings {
  /** Refused proofs, and as many malformed requests, that a source may have in a row. */
  readonly failuresAtOnce: number;
  /** How many of each it earns again in a second; 0: no source is ever paced. */
  readonly failuresPerSecond: number;
  /** Of how many sources is known what they sent. Default: 100,000. */
  readonly sourcesMax?: number;
}

/** What a source has sent that was of no use to anybody. Kept by each process for itself. */
export interface SourcePace {
  /** Whether it is not listened to now. A null address always is. */
  refuses(address: string | null): boolean;
  /** It presented what proves nothing. */
  failed(address: string | null): void;
  /** It sent what is no request, and nobody has said who it is. */
  malformed(address: string | null): void;
}

/** Nobody is ever refused. */
export const unpaced: SourcePace = {
  refuses: () => false,
  failed: () => undefined,
  malformed: () => undefined,
};

const SOURCES_MAX = 100_000;
const TOLD_EVERY_MS = 60_000;

/**
 * Bounds what a stranger has the broker do before anybody is known: bodies read, signatures
 * verified, keys fetched, refusals logged. Counted are refused proofs and malformed requests alone,
 * so that however many workloads share an address, those whose proofs hold are not slowed. Each has
 * a bucket of its own: some of the one and some of the other lock nobody out who shares an address
 * with whoever sends them.
 */
export function createSourcePace(
  settings: SourcePaceSettings,
  { clock, log }: { readonly clock: Pick<Clock, "monotonicMs">; readonly log: Log },
): SourcePace {
  if (settings.failuresPerSecond === 0) return unpaced;
  const tallies = {
    "too many of its proofs were refused": createTally(settings),
    "too many of its requests were malformed": createTally(settings),
  };
  let toldMs = Number.NEGATIVE_INFINITY;
  const count = (address: string | null, why: keyof typeof tallies): void => {
    if (address === null) return;
    const source = sourceOf(address);
    const now = clock.monotonicMs();
    if (!tallies[why].count(source, now) || now - toldMs < TOLD_EVERY_MS) return;
    toldMs = now;
    log.warn(`a source is not listened to for a while: ${why}`, { source });
  };
  const all = Object.values(tallies);
  return {
    refuses: (address) => {
      if (address === null || all.every((tally) => tally.isEmpty())) return false;
      const source = sourceOf(address);
      const now = clock.monotonicMs();
      return all.some((tally) => tally.isUsedUp(source, now));
    },
    failed: (address) => count(address, "too many of its proofs were refused"),
    malformed: (address) => count(address, "too many of its requests were malformed"),
  };
}

/** What each source has left of one kind. */
interface Tally {
  isEmpty(): boolean;
  isUsedUp(source: string, now: number): boolean;
  /** Whether it was its last one. */
  count(source: string, now: number): boolean;
}

interface Bucket {
  left: number;
  atMs: number;
}

/** Of more sources, the one that was heard of first is forgotten, which is in its favour. */
function createTally({
  failuresAtOnce,
  failuresPerSecond,
  sourcesMax = SOURCES_MAX,
}: SourcePaceSettings): Tally {
  const buckets = new Map<string, Bucket>();
  const leftOf = ({ left, atMs }: Bucket, now: number): number =>
    Math.min(failuresAtOnce, left + ((now - atMs) / 1000) * failuresPerSecond);
  return {
    isEmpty: () => buckets.size === 0,
    isUsedUp: (source, now) => {
      const bucket = buckets.get(source);
      if (bucket === undefined) return false;
      const left = leftOf(bucket, now);
      if (left >= failuresAtOnce) buckets.delete(source);
      return left < 1;
    },
    count: (source, now) => {
      const known = buckets.get(source);
      const before = known === undefined ? failuresAtOnce : leftOf(known, now);
      const left = Math.max(0, before - 1);
      if (known === undefined && buckets.size >= sourcesMax) forgetOldest(buckets);
      buckets.set(source, { left, atMs: now });
      return before >= 1 && left < 1;
    },
  };
}

function forgetOldest(buckets: Map<string, Bucket>): void {
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

/** What it sent was refused too often for it to be listened to now. */
export const tooOften = new BrokerError(
  "rate_limited",
  "Too many requests from this address were malformed, or had a proof of identity that was refused.",
  { retryAfterSeconds: 1 },
);
