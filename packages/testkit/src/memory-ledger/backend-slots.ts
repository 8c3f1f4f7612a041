import type {
  BackendId,
  BackendSlots,
  BackendSlotStores,
  InstantMs,
  KeptTenancy,
  Lease,
  LeaseId,
  SlotsWanted,
  Tenancy,
} from "@mayfly/spec";
import { leaseEvent, type MemoryStore } from "./store.ts";

interface SlotRow {
  readonly tenancy: Tenancy;
  readonly quarantineSeconds: number;
}

/** What decides who is a tenant. */
export type SlotLease = Pick<
  Lease,
  "state" | "outcome" | "endedAt" | "endRequestedAt" | "issueBy" | "settleBy" | "expiresAt"
>;

export interface MemorySlotPorts {
  now(): InstantMs;
  leaseOf(id: LeaseId): SlotLease | null;
  /** Default: nobody hears of it. */
  readonly taken?: (tenancy: Tenancy, quarantineSeconds: number) => void;
}

export function createMemorySlotStores(store: MemoryStore): BackendSlotStores {
  const stores = new Map<BackendId, BackendSlots>();
  return {
    of: (backendId) => {
      const known = stores.get(backendId) ?? createMemorySlots(portsOf(store, backendId));
      stores.set(backendId, known);
      return known;
    },
  };
}

const portsOf = (store: MemoryStore, backendId: BackendId): MemorySlotPorts => ({
  now: () => store.clock.now(),
  leaseOf: (id) => {
    const row = store.leases.get(id);
    return row?.backendId === backendId ? row : null;
  },
  taken: ({ slot, generation, leaseId }, quarantineSeconds) => {
    const row = store.leases.get(leaseId);
    if (row === undefined) return;
    const data = { backendId, slot, generation, quarantineSeconds };
    leaseEvent(store, row, "lease.slot_taken", { kind: "system", name: "broker" }, data);
  },
});

/** As the ledger's, of the leases that it is told of. */
export function createMemorySlots(ports: MemorySlotPorts): BackendSlots {
  const rows = new Map<string, SlotRow>();
  const mayTake = (leaseId: LeaseId): boolean => {
    const lease = ports.leaseOf(leaseId);
    if (lease?.state !== "reserved" || lease.endRequestedAt !== null) return false;
    return lease.issueBy >= ports.now();
  };
  const ofLease = (leaseId: LeaseId): SlotRow | undefined =>
    [...rows.values()].find(({ tenancy }) => tenancy.leaseId === leaseId);
  return {
    take: async (leaseId, wanted) => {
      if (!mayTake(leaseId)) return { kind: "late" };
      const known = ofLease(leaseId);
      if (known !== undefined) return { kind: "taken", tenancy: known.tenancy };
      const now = ports.now();
      const slot = firstFree(wanted, (name) => freeAt(rows.get(name), ports) <= now, rows);
      if (slot === null) return { kind: "busy", freeInSeconds: freeIn(wanted, rows, ports) };
      const last = rows.get(slot)?.tenancy.generation ?? 0;
      const tenancy = { slot, generation: Math.max(last + 1, Math.floor(now * 1000)), leaseId };
      rows.set(slot, { tenancy, quarantineSeconds: wanted.quarantineSeconds });
      ports.taken?.(tenancy, wanted.quarantineSeconds);
      return { kind: "taken", tenancy };
    },
    find: async (leaseId) => kept(ofLease(leaseId), ports),
    last: async (slot) => kept(rows.get(slot), ports),
  };
}

/** The one that nobody had for longest. */
function firstFree(
  { slots }: SlotsWanted,
  isFree: (slot: string) => boolean,
  rows: ReadonlyMap<string, SlotRow>,
): string | null {
  const age = (slot: string): number => rows.get(slot)?.tenancy.generation ?? 0;
  const free = slots.filter(isFree);
  return free.toSorted((a, b) => age(a) - age(b) || (a < b ? -1 : 1))[0] ?? null;
}

function kept(row: SlotRow | undefined, ports: MemorySlotPorts): KeptTenancy | null {
  if (row === undefined) return null;
  const free = freeAt(row, ports);
  const hasEnded = Number.isFinite(free);
  const keptSeconds = hasEnded ? Math.max(0, (free - ports.now()) / 1000) : row.quarantineSeconds;
  return { ...row.tenancy, hasEnded, keptSeconds };
}

function freeAt(row: SlotRow | undefined, ports: MemorySlotPorts): number {
  if (row === undefined) return Number.NEGATIVE_INFINITY;
  const lease = ports.leaseOf(row.tenancy.leaseId);
  if (lease === null || lease.endedAt === null) return Number.POSITIVE_INFINITY;
  if (lease.outcome === "abandoned") return lease.endedAt;
  return Math.max(lease.endedAt, lease.settleBy) + row.quarantineSeconds * 1000;
}

function freeIn(
  { slots }: SlotsWanted,
  rows: ReadonlyMap<string, SlotRow>,
  ports: MemorySlotPorts,
): number {
  const now = ports.now();
  const at = slots.map((slot) => {
    const row = rows.get(slot);
    const known = freeAt(row, ports);
    if (row === undefined || Number.isFinite(known)) return known;
    const { expiresAt = now, settleBy = now } = ports.leaseOf(row.tenancy.leaseId) ?? {};
    return Math.max(expiresAt, settleBy, now) + row.quarantineSeconds * 1000;
  });
  return Math.max(0, (Math.min(...at) - now) / 1000);
}
