/** What waits, in the order it came, apart for each of those whose it is. */
export interface Lanes<Entry> {
  add(entry: Entry): void;
  size(): number;
  /** Of those in this one's lane. */
  sizeBeside(entry: Entry): number;
  /** Whether something waits for nobody's batch. */
  hasOpen(): boolean;
  /**
   * Takes from the front of every lane that is open, one of each in turn until there are `max`;
   * leaves behind what shares a key with one before it. Until it is released, these lanes are open
   * to no more batches than {@link LanesOptions} says.
   */
  take(keysOf: (entry: Entry) => readonly string[]): Taken<Entry>;
}

export interface LanesOptions<Entry> {
  readonly laneOf: (entry: Entry) => string;
  /** How much of a batch it is. */
  readonly sizeOf: (entry: Entry) => number;
  /** Of a batch, in all; an entry that is larger goes alone. */
  readonly max: number;
  /** Batches of one lane under way: beside the first, only as long as a whole one waits. */
  readonly besides: number;
}

export interface Taken<Entry> {
  readonly entries: readonly Entry[];
  release(): void;
}

interface Lane<Entry> {
  readonly entries: Entry[];
  size: number;
}

export function createLanes<Entry>(options: LanesOptions<Entry>): Lanes<Entry> {
  const { laneOf, sizeOf, max } = options;
  const waiting = new Map<string, Lane<Entry>>();
  const underWay = new Map<string, number>();
  let count = 0;
  const put = (lane: string, entries: Entry[]): void => {
    if (entries.length === 0) waiting.delete(lane);
    else waiting.set(lane, { entries, size: sum(entries.map(sizeOf)) });
  };
  const isOpen = ([lane, { size }]: readonly [string, Lane<Entry>]): boolean => {
    const batches = underWay.get(lane) ?? 0;
    return batches === 0 || (batches <= options.besides && size >= max);
  };
  return {
    add: (entry) => {
      const lane = laneOf(entry);
      const known = waiting.get(lane) ?? { entries: [], size: 0 };
      known.entries.push(entry);
      known.size += sizeOf(entry);
      waiting.set(lane, known);
      count++;
    },
    size: () => count,
    sizeBeside: (entry) => waiting.get(laneOf(entry))?.entries.length ?? 0,
    hasOpen: () => [...waiting].some(isOpen),
    take: (keysOf) => {
      const open = [...waiting].filter(isOpen);
      const free = open.map(([, { entries }]) => withoutSharedKeys(entries, keysOf));
      const taken = new Set(inTurn(free, max, sizeOf));
      const lanes: string[] = [];
      for (const [lane, { entries }] of open) {
        const left = entries.filter((entry) => !taken.has(entry));
        if (left.length === entries.length) continue;
        lanes.push(lane);
        underWay.set(lane, (underWay.get(lane) ?? 0) + 1);
        put(lane, left);
      }
      count -= taken.size;
      const release = (): void => {
        for (const lane of lanes) {
          const batches = (underWay.get(lane) ?? 1) - 1;
          if (batches === 0) underWay.delete(lane);
          else underWay.set(lane, batches);
        }
      };
      return { entries: [...taken], release };
    },
  };
}

const sum = (sizes: readonly number[]): number => sizes.reduce((all, one) => all + one, 0);

function withoutSharedKeys<Entry>(
  queue: readonly Entry[],
  keysOf: (entry: Entry) => readonly string[],
): readonly Entry[] {
  const keys = new Set<string>();
  return queue.filter((entry) => {
    const own = keysOf(entry);
    const isFree = !own.some((key) => keys.has(key));
    for (const key of own) keys.add(key);
    return isFree;
  });
}

function inTurn<Entry>(
  queues: readonly (readonly Entry[])[],
  max: number,
  sizeOf: (entry: Entry) => number,
): readonly Entry[] {
  const taken: Entry[] = [];
  const longest = Math.max(0, ...queues.map((queue) => queue.length));
  let size = 0;
  for (let place = 0; place < longest; place++) {
    for (const queue of queues) {
      const entry = queue[place];
      if (entry === undefined) continue;
      size += sizeOf(entry);
      if (size > max && taken.length > 0) return taken;
      taken.push(entry);
    }
  }
  return taken;
}
