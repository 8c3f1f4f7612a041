import {
  BrokerError,
  plusSeconds,
  workloadName,
  type Actor,
  type BackendId,
  type EndedLeases,
  type EndedLeasesWanted,
  type EndedTaskState,
  type TaskId,
  type TaskLedger,
} from "@mayfly/spec";
import {
  append,
  proveAgain,
  below,
  indexTask,
  isOpen,
  leaseOf,
  markEnding,
  requireTask,
  taskOf,
  type MemoryStore,
  type TaskRow,
} from "./store.ts";

export function createTaskLedger(store: MemoryStore): TaskLedger {
  const { gate } = store;
  return {
    find: (id) =>
      gate.run("find", () => {
        const row = store.tasks.get(id);
        return row === undefined ? null : taskOf(store, row);
      }),
    initiatorActors: (rootId) =>
      gate.run("initiatorActors", () => store.tasks.get(rootId)?.initiatorActors ?? []),
    heartbeat: (id, proof) =>
      gate.run("heartbeat", () => {
        const row = requireTask(store, id);
        if (!isOpen(store, row)) return "ended";
        row.lastHeartbeatAt = store.clock.now();
        if (proof !== null) {
          proveAgain(row, proof);
          const actor: Actor = { kind: "workload", name: workloadName(row.workload) };
          append(store, { kind: "task.heartbeat_proven", actor, taskId: id });
        }
        return "beaten";
      }),
    requestEnd: ({ taskId, state, actor, reason, decisionId = null }) =>
      gate.run("requestEnd", () => {
        const row = requireTask(store, taskId);
        if (row.state !== "active" || row.end !== null) return "already";
        row.end = { state, actor, reason };
        const data = { state, reason };
        append(store, { kind: "task.end_requested", actor, taskId, decisionId, data });
        return "requested";
      }),
    applyEnd: (id) => gate.run("applyEnd", () => applyEnd(store, id)),
    endLease: (id, actor, reason, decisionId = null) =>
      gate.run("endLease", () => {
        const row = store.leases.get(id);
        if (row === undefined) return null;
        markEnding(store, row, actor, reason, decisionId);
        return leaseOf(store, row);
      }),
    leasesBelow: (id, limit) =>
      gate.run("leasesBelow", () => {
        const tasks = new Set<TaskId | null>(below(store, id).map((row) => row.id));
        return [...store.leases.values()]
          .filter((row) => tasks.has(row.taskId))
          .toSorted((a, b) => (a.id < b.id ? 1 : -1))
          .slice(0, limit)
          .map((row) => leaseOf(store, row));
      }),
    lease: (id) =>
      gate.run("lease", () => {
        const row = store.leases.get(id);
        return row === undefined ? null : leaseOf(store, row);
      }),
    endedLeases: (id, wanted) => gate.run("endedLeases", () => endedLeases(store, id, wanted)),
  };
}

function endedLeases(
  store: MemoryStore,
  backendId: BackendId,
  { graceSeconds, listSeconds = 0 }: EndedLeasesWanted,
): EndedLeases {
  const now = store.clock.now();
  const last = store.readings.get(backendId) ?? { number: 0, listSeconds: 0 };
  const number = Math.max(last.number + 1, now * 1000);
  const longer = listSeconds < last.listSeconds ? plusSeconds(now, last.listSeconds) : undefined;
  const until = longer ?? last.longerListsUntil;
  const bound = until === undefined ? {} : { longerListsUntil: until };
  store.readings.set(backendId, { number, listSeconds, ...bound });
  const leases = [...store.leases.values()]
    .filter((row) => row.backendId === backendId && plusSeconds(row.expiresAt, graceSeconds) > now)
    .filter(
      ({ state, outcome }) => state !== "reserved" && state !== "active" && outcome !== "abandoned",
    )
    .map(({ id, endRequestedAt, endedAt, expiresAt }) => ({
      leaseId: id,
      endedAt: endRequestedAt ?? endedAt ?? expiresAt,
      expiresAt,
    }));
  return { number, readAt: now, leases, ...bound };
}

function applyEnd(store: MemoryStore, id: TaskId) {
  const task = requireTask(store, id);
  if (task.state === "active" && task.end === null)
    throw new BrokerError("conflict", `No end of ${id} was requested.`);
  const rows = below(store, id).toSorted((a, b) => a.depth - b.depth || (a.id < b.id ? -1 : 1));
  const ended: TaskId[] = [];
  // By depth: a parent's ending is known before its children's.
  const endings = new Map<TaskId, Ending>();
  for (const row of rows) {
    const ending = endingOf(row, row.parentId === null ? undefined : endings.get(row.parentId));
    if (ending === null) continue;
    endings.set(row.id, ending);
    if (row.state !== "active") continue;
    endRow(store, row, ending.state, ending.actor, ending.reason);
    ended.push(row.id);
  }
  const leases = [...store.live].filter((row) => isOfTree(rows, row));
  for (const row of leases) {
    const own = row.taskId === null ? undefined : store.tasks.get(row.taskId);
    const reason = `the task ended: ${own?.endReason ?? ""}`;
    markEnding(store, row, own?.end?.actor ?? SWEEP, reason);
  }
  return {
    ended,
    leases: leases.map(({ id: leaseId, backendId, state }) => ({ id: leaseId, backendId, state })),
  };
}

interface Ending {
  readonly state: EndedTaskState;
  readonly actor: Actor;
  readonly reason: string;
}
const SWEEP: Actor = { kind: "system", name: "sweep" };
const FOLLOWED = "the parent task ended: ";

/** How it ended or is to end; null for one that goes on. */
function endingOf(row: TaskRow, parent: Ending | undefined): Ending | null {
  if (row.state !== "active") return { state: row.state, actor: SWEEP, reason: row.state };
  if (row.end !== null) return row.end;
  if (parent === undefined) return null;
  const { reason } = parent;
  return {
    state: inherited(parent.state),
    actor: parent.actor,
    reason: reason.startsWith(FOLLOWED) ? reason : `${FOLLOWED}${reason}`,
  };
}

const isOfTree = (tree: readonly TaskRow[], { taskId }: { readonly taskId: TaskId | null }) =>
  tree.some(({ id }) => id === taskId);

export function endRow(
  store: MemoryStore,
  row: TaskRow,
  state: EndedTaskState,
  actor: Actor,
  reason: string,
): void {
  row.state = state;
  row.endedAt = store.clock.now();
  row.endReason = reason;
  indexTask(store, row);
  append(store, { kind: "task.ended", actor, taskId: row.id, data: { state, reason } });
}

/** What a child becomes that had no end of its own. */
export const inherited = (parent: EndedTaskState): EndedTaskState =>
  parent === "killed" || parent === "expired" ? parent : "cancelled";
