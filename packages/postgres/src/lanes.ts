/** What waits, in the order it came, apart for each of those whose it is. */
export interface Lanes<Entry> {
  add(entry: Entry): void;
  size(): number;
  /** Of those in this one's lane. */
  sizeBeside(entry: Entry): number;
  /** Whether something waits for nobody's batch. */
  hasOpen(): boolean;
  /**
   * Takes from the front of every lane that has no batch under way, one of each in turn until there
   * are `max`; leaves behind what shares a key with one before it. Until it is released, nothing of
   * these lanes is taken.
   */
  take(max: number, keysOf: (entry: Entry) => readonly string[]): Taken<Entry>;
}

export interface Taken<Entry> {
  readonly entries: readonly Entry[];
  release(): void;
}

export function createLanes<Entry>(laneOf: (entry: Entry) => string): Lanes<Entry> {
  const waiting = new Map<string, Entry[]>();
  const underWay = new Set<string>();
  let size = 0;
  return {
    add: (entry) => {
      const lane = laneOf(entry);
      const queue = waiting.get(lane);
      if (queue === undefined) waiting.set(lane, [entry]);
      else queue.push(entry);
      size++;
    },
    size: () => size,
    sizeBeside: (entry) => waiting.get(laneOf(entry))?.length ?? 0,
    hasOpen: () => {
      for (const lane of waiting.keys()) if (!underWay.has(lane)) return true;
      return false;
    },
    take: (max, keysOf) => {
      const open = [...waiting].filter(([lane]) => !underWay.has(lane));
      const free = open.map(([, queue]) => withoutSharedKeys(queue, keysOf));
      const taken = new Set(inTurn(free, max));
      const lanes: string[] = [];
      for (const [lane, queue] of open) {
        const left = queue.filter((entry) => !taken.has(entry));
        if (left.length === queue.length) continue;
        lanes.push(lane);
        underWay.add(lane);
        if (left.length === 0) waiting.delete(lane);
        else waiting.set(lane, left);
      }
      size -= taken.size;
      const release = (): void => {
        for (const lane of lanes) underWay.delete(lane);
      };
      return { entries: [...taken], release };
    },
  };
}

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

function inTurn<Entry>(queues: readonly (readonly Entry[])[], max: number): readonly Entry[] {
  const [only = []] = queues;
  if (queues.length <= 1) return only.slice(0, max);
  const taken: Entry[] = [];
  for (let place = 0; taken.length < max; place++) {
    const row = queues.flatMap((queue) => queue.slice(place, place + 1));
    if (row.length === 0) break;
    taken.push(...row.slice(0, max - taken.length));
  }
  return taken;
}
