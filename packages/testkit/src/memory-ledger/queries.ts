import {
  InvalidInput,
  workloadName,
  type BackendId,
  type EventFilter,
  type InstantMs,
  type Lease,
  type LeaseFilter,
  type LedgerCounts,
  type LedgerEvent,
  type LedgerQueries,
  type Page,
  type PageRequest,
  type SecurityQueries,
  type Task,
  type TaskFilter,
} from "@mayfly/spec";
import { below, isLive, leaseOf, sweepAge, taskOf, type MemoryStore } from "./store.ts";

const PAGE_MAX = 1000;
const CHAIN_MAX = 10_000;

export function createQueries(store: MemoryStore): Omit<LedgerQueries, keyof SecurityQueries> {
  const { gate } = store;
  const leases = (): Lease[] => [...store.leases.values()].map((row) => leaseOf(store, row));
  const tasks = (): Task[] => [...store.tasks.values()].map((row) => taskOf(store, row));
  const events = (): LedgerEvent[] => [...store.events];
  return {
    leases: (filter, page) =>
      gate.run("leases", () =>
        paged(
          "leases",
          newestFirst(leases()).filter((lease) => isLeaseWanted(store, filter, lease)),
          page,
        ),
      ),
    tasks: (filter, page) =>
      gate.run("tasks", () =>
        paged(
          "tasks",
          newestFirst(tasks()).filter((task) => isTaskWanted(filter, task)),
          page,
        ),
      ),
    events: (filter, page) =>
      gate.run("events", () =>
        paged(
          "events",
          events().filter((event) => isEventWanted(filter, event)),
          page,
        ),
      ),
    decision: (id) => gate.run("decision", () => store.decisions.get(id) ?? null),
    taskChain: (id) =>
      gate.run("taskChain", () => {
        const rows = below(store, id);
        const own = rows.find((row) => row.id === id);
        if (own === undefined) return null;
        const ids = new Set<string | null>(rows.map((row) => row.id));
        const chain = {
          task: taskOf(store, own),
          descendants: rows.filter((row) => row !== own).map((row) => taskOf(store, row)),
          decisions: [...store.decisions.values()].filter(({ taskId }) => ids.has(taskId)),
          leases: leases().filter(({ taskId }) => ids.has(taskId)),
          events: events().filter(({ taskId }) => ids.has(taskId)),
        };
        const truncated = chain.events.length > CHAIN_MAX;
        return { ...chain, events: chain.events.slice(0, CHAIN_MAX), truncated };
      }),
    counts: () => gate.run("counts", () => counts(store)),
  };
}

function counts(store: MemoryStore): LedgerCounts {
  const rows = [...store.leases.values()];
  const inState = (state: Lease["state"]): number =>
    rows.filter((row) => row.state === state).length;
  const inStateAt = (id: BackendId, state: Lease["state"]): number =>
    rows.filter((row) => row.backendId === id && row.state === state).length;
  const now = store.clock.now();
  const late = rows.flatMap((row) => {
    const at = row.state === "active" ? row.expiresAt : (row.nextAttemptAt ?? row.settleBy);
    return isLive(row) && at <= now ? [now - at] : [];
  });
  return {
    leasesReserved: inState("reserved"),
    leasesActive: inState("active"),
    leasesEnding: inState("ending"),
    leasesStuck: inState("stuck"),
    leasesOverdue: late.length,
    oldestDueSeconds: Math.max(0, ...late) / 1000,
    tasksActive: [...store.tasks.values()].filter(({ state }) => state === "active").length,
    taskEndsOpen: [...store.tasks.values()].filter(
      ({ state, end }) => state === "active" && end !== null,
    ).length,
    eventsPending: store.events.filter(({ logIndex }) => logIndex === null).length,
    oldestPendingSeconds: Math.max(
      0,
      ...store.events.flatMap(({ logIndex, at }) => (logIndex === null ? [(now - at) / 1000] : [])),
    ),
    logEntries: store.events.filter(({ logIndex }) => logIndex !== null).length,
    rowsInDefaultPartitions: 0,
    sweepAgeSeconds: sweepAge(store, null),
    backends: store
      .backendIds()
      .toSorted()
      .map((id) => ({
        id,
        leasesReserved: inStateAt(id, "reserved"),
        leasesActive: inStateAt(id, "active"),
        leasesEnding: inStateAt(id, "ending"),
        leasesStuck: inStateAt(id, "stuck"),
        listingAgeSeconds: sweepAge(store, id),
      })),
  };
}

export const newestFirst = <T extends { readonly id: string }>(items: readonly T[]): readonly T[] =>
  items.toSorted((a, b) => (a.id < b.id ? 1 : -1));

/** In the order given, after the item that the cursor names. */
export function paged<T extends { readonly id: string }>(
  list: string,
  items: readonly T[],
  { limit, after }: PageRequest,
): Page<T> {
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX) {
    throw new InvalidInput(`limit: expected 1 to ${PAGE_MAX}`, { where: "limit" });
  }
  const from = after === null ? null : cursorId(list, after);
  const rest = from === null ? items : items.slice(items.findIndex(({ id }) => id === from) + 1);
  const shown = rest.slice(0, limit);
  const last = shown.at(-1);
  const next = rest.length > limit && last !== undefined ? cursorOf(list, last.id) : null;
  return { items: shown, next };
}

const cursorOf = (list: string, id: string): string =>
  Buffer.from(`${list} ${id}`).toString("base64url");

function cursorId(list: string, cursor: string): string {
  const match = /^(\S+) (\S+)$/.exec(Buffer.from(cursor, "base64url").toString("utf8"));
  if (match?.[1] === list && match[2] !== undefined) return match[2];
  throw new InvalidInput("after: expected the `next` of the page before", { where: "after" });
}

export const isIn = (
  at: InstantMs,
  filter: { readonly from?: InstantMs; readonly until?: InstantMs },
) =>
  (filter.from === undefined || at >= filter.from) &&
  (filter.until === undefined || at < filter.until);

const isSame = (wanted: unknown, actual: unknown): boolean =>
  wanted === undefined || wanted === actual;

export function isLeaseWanted(store: MemoryStore, filter: LeaseFilter, lease: Lease): boolean {
  const task = lease.taskId === null ? undefined : store.tasks.get(lease.taskId);
  return (
    isSame(filter.taskId, lease.taskId) &&
    isSame(filter.workload, lease.workload) &&
    isInitiator(filter.initiator, task) &&
    isSame(filter.backendId, lease.backendId) &&
    isSame(filter.role, lease.role) &&
    isSame(filter.state, lease.state) &&
    isSame(filter.exposed, lease.exposure.kind !== "none") &&
    isSame(filter.fingerprint, lease.fingerprint) &&
    isIn(lease.reservedAt, filter)
  );
}

function isInitiator(
  wanted: string | undefined,
  task: Pick<Task, "verifiedInitiator" | "descriptor"> | undefined,
): boolean {
  if (wanted === undefined) return true;
  return task?.verifiedInitiator === wanted || task?.descriptor.claimedInitiator === wanted;
}

const isTaskWanted = (filter: TaskFilter, task: Task): boolean =>
  isSame(filter.workload, workloadName(task.workload)) &&
  isInitiator(filter.initiator, task) &&
  isSame(filter.ref, task.descriptor.ref) &&
  isSame(filter.state, task.state) &&
  isSame(filter.parentId, task.parentId) &&
  isIn(task.openedAt, filter);

const isEventWanted = (filter: EventFilter, event: LedgerEvent): boolean =>
  isSame(filter.taskId, event.taskId) &&
  isSame(filter.leaseId, event.leaseId) &&
  isSame(filter.kind, event.kind) &&
  isIn(event.at, filter);
