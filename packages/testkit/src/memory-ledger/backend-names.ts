import {
  instantMs,
  type BackendId,
  type BackendName,
  type BackendNames,
  type BackendNameStores,
  type Clock,
  type InstantMs,
} from "@mayfly/spec";

interface NameRow {
  readonly name: string;
  readonly place: string;
  readonly isTaken: boolean;
  readonly refusedAt: InstantMs | null;
  readonly seenAt: InstantMs | null;
  readonly until: InstantMs;
}

interface Turn {
  readonly turn: number;
  readonly heldUntil: InstantMs;
}

const HOUR_MS = 3_600_000;

export function createMemoryNameStores(clock: Clock): BackendNameStores {
  const stores = new Map<BackendId, BackendNames>();
  return {
    of: (backendId) => {
      const known = stores.get(backendId) ?? createMemoryNames(clock);
      stores.set(backendId, known);
      return known;
    },
  };
}

/** As the ledger's, on the clock that it is given. */
export function createMemoryNames(clock: Clock): BackendNames {
  const rows = new Map<string, NameRow>();
  const turns = new Map<string, Turn>();
  let lastTurn = 0;
  const shown = (row: NameRow): BackendName => shownAt(row, clock.now());
  const recent = (hours: number): readonly NameRow[] =>
    [...rows.values()].filter(
      ({ refusedAt, until }) => refusedAt !== null && until > clock.now() - hours * HOUR_MS,
    );
  const isHeld = (place: string, turn: number): boolean => {
    const last = turns.get(place);
    return last?.turn === turn && last.heldUntil > clock.now();
  };
  const hold = (place: string, turn: number, seconds: number): void => {
    turns.set(place, { turn, heldUntil: instantMs(clock.now() + seconds * 1000) });
  };
  return {
    take: async (name, place, until, most) => {
      if (rows.has(name)) return "known";
      const alive = [...rows.values()].filter(
        (row) => row.place === place && row.isTaken && row.until > clock.now(),
      );
      if (alive.length >= most) return "full";
      rows.set(name, { name, place, isTaken: true, refusedAt: null, seenAt: null, until });
      return "taken";
    },
    shorten: async (name, until) => {
      const row = rows.get(name);
      if (row?.refusedAt !== null) return;
      rows.set(name, { ...row, until: instantMs(Math.min(row.until, until)) });
    },
    find: async (name) => {
      const row = rows.get(name);
      return row === undefined ? null : shown(row);
    },
    refuse: async (name, place, until) => {
      const known = rows.get(name) ?? { name, place, isTaken: false, seenAt: null, until };
      const row = {
        refusedAt: clock.now(),
        ...known,
        until: instantMs(Math.max(known.until, until)),
      };
      rows.set(name, { ...row, refusedAt: row.refusedAt ?? clock.now() });
      return shown(rows.get(name) ?? row);
    },
    places: async () => [...new Set(recent(24).map(({ place }) => place))].toSorted(),
    beginTurn: async (place, seconds) => {
      const last = turns.get(place);
      if (last !== undefined && last.heldUntil > clock.now()) return null;
      hold(place, ++lastTurn, seconds);
      const refused = recent(1).filter((row) => row.place === place);
      return { turn: lastTurn, refused: refused.map(shown) };
    },
    holdTurn: async (place, turn, seconds) => {
      if (!isHeld(place, turn)) return false;
      hold(place, turn, seconds);
      return true;
    },
    endTurn: async (place, turn) => {
      if (isHeld(place, turn)) hold(place, turn, 0);
    },
    sawRefused: async (names, missing) => {
      for (const name of [...names, ...missing]) {
        const row = rows.get(name);
        const seenAt = missing.includes(name) ? null : (row?.seenAt ?? clock.now());
        if (row !== undefined) rows.set(name, { ...row, seenAt });
      }
    },
  };
}

const shownAt = (row: NameRow, now: InstantMs): BackendName => ({
  name: row.name,
  place: row.place,
  isTaken: row.isTaken,
  refusedForSeconds: row.refusedAt === null ? null : (now - row.refusedAt) / 1000,
  seenForSeconds: row.seenAt === null ? null : (now - row.seenAt) / 1000,
  leftSeconds: (row.until - now) / 1000,
});
