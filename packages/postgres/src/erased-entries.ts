import { uuidOfId, type EventId } from "@mayfly/spec";
import type { ExportEntry } from "./export-line.ts";
import { erasedEventSha256, type LoggedEvent } from "./leaf-hash.ts";

/** Entries that wait for the event that tells of their erasure: what a reader holds in memory. */
export const ERASED_WAITING_MAX = 1_000_000;

type ErasedEntry = Extract<ExportEntry, { readonly event: LoggedEvent }> & {
  readonly erased_by: EventId;
};

interface Waiting<Place> {
  readonly sha256: string;
  readonly place: Place;
  readonly logIndex: number;
}

export interface ErasedProblem<Place> {
  readonly place: Place;
  readonly logIndex: number;
  readonly problem: string;
}

/**
 * Entries whose values were erased, until the event comes that tells of it: it is further down in
 * the log, and its own leaf is whole.
 */
export class ErasedEntries<Place> {
  /** By the event that is to tell of them, then by UUID. */
  readonly #waiting = new Map<EventId, Map<string, Waiting<Place>>>();
  #count = 0;

  /** How many nothing has vouched for yet. */
  get count(): number {
    return this.#count;
  }

  /** False: there is no room for more. */
  add(entry: ErasedEntry, place: Place): boolean {
    if (this.#count >= ERASED_WAITING_MAX) return false;
    const group = this.#waiting.get(entry.erased_by) ?? new Map<string, Waiting<Place>>();
    const sha256 = erasedEventSha256(entry.event);
    group.set(uuidOfId(entry.event.id), { sha256, place, logIndex: entry.log_index });
    this.#waiting.set(entry.erased_by, group);
    this.#count++;
    return true;
  }

  /** To be called with each event whose leaf was verified. */
  vouch(event: LoggedEvent): ErasedProblem<Place> | null {
    if (event.kind !== "ledger.erased") return null;
    const group = this.#waiting.get(event.id);
    if (group === undefined) return null;
    for (const [uuid, { sha256, place, logIndex }] of group) {
      if (listedSha256(event, uuid) !== sha256) {
        const problem = `entry ${logIndex} was altered after values were erased from it`;
        return { place, logIndex, problem };
      }
    }
    this.#waiting.delete(event.id);
    this.#count -= group.size;
    return null;
  }
}

/** What an event `ledger.erased` says of another one; null: nothing. */
function listedSha256({ data }: LoggedEvent, uuid: string): string | null {
  const rows = isRecord(data) ? data["rows"] : null;
  const events = isRecord(rows) ? rows["events"] : null;
  const sha256 = isRecord(events) ? events[uuid] : null;
  return typeof sha256 === "string" ? sha256 : null;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
