import type { LogSequencer } from "@mayfly/spec";
import { sha256, type MemoryStore } from "./store.ts";

interface Entry {
  readonly eventId: string;
  readonly leaf: string;
  readonly chain: string;
}

const START = "0".repeat(64);

export function createLogSequencer(store: MemoryStore): LogSequencer {
  const entries: Entry[] = [];
  const leafOf = (event: MemoryStore["events"][number]): string =>
    sha256(JSON.stringify({ ...event, logIndex: null }));
  return {
    append: (limit) =>
      store.gate.run("append", () => {
        const next = store.events.filter(({ logIndex }) => logIndex === null).slice(0, limit);
        for (const event of next) {
          const leaf = leafOf(event);
          const chain = sha256((entries.at(-1)?.chain ?? START) + leaf);
          event.logIndex = entries.length;
          entries.push({ eventId: event.id, leaf, chain });
        }
        return next.length;
      }),
    verify: (from) =>
      store.gate.run("verify", () => {
        const byIndex = new Map(store.events.map((event) => [event.logIndex, event]));
        for (const [logIndex, entry] of entries.entries()) {
          if (logIndex < from) continue;
          const event = byIndex.get(logIndex);
          const chain = sha256((entries[logIndex - 1]?.chain ?? START) + entry.leaf);
          const isWhole = event?.id === entry.eventId && leafOf(event) === entry.leaf;
          if (!isWhole || chain !== entry.chain) {
            return { ok: false, logIndex, problem: "the event is not the one that was logged" };
          }
        }
        const waiting = store.events.filter(({ logIndex }) => logIndex === null);
        const [oldest] = waiting.map(({ at }) => at).toSorted((a, b) => a - b);
        return {
          ok: true,
          entries: Math.max(0, entries.length - from),
          headSha256: entries.at(-1)?.chain ?? START,
          pending: waiting.length,
          oldestPendingSeconds: oldest === undefined ? null : (store.clock.now() - oldest) / 1000,
          warning: null,
        };
      }),
  };
}
