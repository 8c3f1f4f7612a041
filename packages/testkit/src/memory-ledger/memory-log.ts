import { InvalidInput, type LogExporter, type LogSequencer } from "@mayfly/spec";
import { sha256, type MemoryStore } from "./store.ts";

interface Entry {
  readonly eventId: string;
  readonly leaf: string;
  readonly chain: string;
}

const START = "0".repeat(64);

const PAGE = 2;
const jsonLine = (value: object): string => `${JSON.stringify(value)}\n`;

/** Of the same shape as the real one's lines; its hashes are the fake's own. */
const exporterOf = (store: MemoryStore, entries: readonly Entry[]): LogExporter => ({
  open: (from, limit) =>
    store.gate.run("export", () => {
      if (from > entries.length) {
        throw new InvalidInput(`from: the log has ${entries.length} entries`, { where: "from" });
      }
      const until = Math.min(entries.length, from + limit);
      const header = {
        mayfly_ledger_export: 1,
        installation: "testtest",
        schema_version: 0,
        from,
        until,
        before_hash: entries[from - 1]?.chain ?? START,
        head_hash: entries[until - 1]?.chain ?? START,
        log_entries: entries.length,
        exported_at: new Date(store.clock.now()).toISOString(),
      };
      const lineAt = (index: number): string => {
        const entry = entries[index];
        const event = store.events.find(({ logIndex }) => logIndex === index);
        if (entry === undefined || event === undefined) throw new Error("an entry is gone");
        const { logIndex, ...logged } = event;
        return jsonLine({
          log_index: logIndex,
          event_id: entry.eventId,
          leaf_hash: entry.leaf,
          chain_hash: entry.chain,
          event: logged,
        });
      };
      return {
        from,
        until,
        logEntries: entries.length,
        pages: async function* () {
          yield jsonLine(header);
          for (let at = from; at < until; at += PAGE) {
            const indices = Array.from({ length: Math.min(PAGE, until - at) }, (_, n) => at + n);
            yield indices.map(lineAt).join("");
          }
        },
      };
    }),
});

export interface MemoryLog {
  readonly sequencer: LogSequencer;
  readonly exporter: LogExporter;
}

export function createMemoryLog(store: MemoryStore): MemoryLog {
  const entries: Entry[] = [];
  return { sequencer: sequencerOf(store, entries), exporter: exporterOf(store, entries) };
}

function sequencerOf(store: MemoryStore, entries: Entry[]): LogSequencer {
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
    // `policyUse` counts as it reads.
    countPolicyUse: () => store.gate.run("countPolicyUse", () => 0),
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
          from,
          entries: Math.max(0, entries.length - from),
          headSha256: entries.at(-1)?.chain ?? START,
          pending: waiting.length,
          oldestPendingSeconds: oldest === undefined ? null : (store.clock.now() - oldest) / 1000,
          warning: null,
        };
      }),
  };
}
