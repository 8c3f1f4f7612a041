import { createHash } from "node:crypto";
import {
  BrokerError,
  InvalidInput,
  idFromUuid,
  plusSeconds,
  uuidOfId,
  workloadName,
  type BackendId,
  type EndPreview,
  type EndRequestBySelector,
  type EndSelector,
  type EndTarget,
  type LeaseId,
  type MarkedMembers,
  type SelectorEnd,
  type SelectorEndId,
  type SelectorEndLedger,
  type SelectorEndReport,
  type TaskId,
  type TrustRootName,
} from "@mayfly/spec";
import { newestFirst, paged } from "./queries.ts";
import { summaryOf } from "./security-queries.ts";
import {
  append,
  below,
  isLive,
  leaseOf,
  markEnding,
  nextId,
  type LeaseRow,
  type MemoryStore,
  type SelectorEndRow,
  type TaskRow,
} from "./store.ts";

export function createSelectorEnds(store: MemoryStore): SelectorEndLedger {
  const { gate } = store;
  return {
    unknownNames: (names) =>
      gate.run("unknownNames", () =>
        MEMBERS.filter((member) => {
          const name = names[member];
          return name !== undefined && !store.wasRegistered(member, name);
        }),
      ),
    preview: (target, selector, limit) =>
      gate.run("previewEnd", () => preview(store, target, selector, limit)),
    request: (request) => gate.run("requestSelectorEnd", () => requestEnd(store, request)),
    look: (id) =>
      gate.run("look", () => {
        const row = rowOf(store, id);
        row.end = { ...row.end, looks: row.end.looks + 1 };
        row.touchedAt = store.clock.now();
        return look(store, row);
      }),
    mark: (id, limit) => gate.run("mark", () => mark(store, rowOf(store, id), limit)),
    finish: (id, result) =>
      gate.run("finish", () => {
        const row = rowOf(store, id);
        if (row.end.finishedAt !== null) return;
        row.end = { ...row.end, finishedAt: store.clock.now(), result };
        const data = { end: id, result, tasks: row.tasks.size, leases: row.leases.size };
        append(store, { kind: "selector_end.finished", actor: row.end.actor, data });
      }),
    abandoned: (idleSeconds, limit) =>
      gate.run("abandoned", () =>
        [...store.selectorEnds.values()]
          .filter(({ end }) => end.finishedAt === null)
          .filter(({ touchedAt }) => plusSeconds(touchedAt, idleSeconds) <= store.clock.now())
          .slice(0, limit)
          .map(({ end }) => end),
      ),
    find: (id) => gate.run("findSelectorEnd", () => store.selectorEnds.get(id)?.end ?? null),
    list: (page) =>
      gate.run("listSelectorEnds", () => {
        const ends = [...store.selectorEnds.values()].map(({ end }) => end);
        return paged<SelectorEnd>("selector_ends", newestFirst(ends), page);
      }),
    report: (id, page) => gate.run("report", () => report(store, id, page)),
    liveMembers: (id, limit) =>
      gate.run("liveMembers", () =>
        leasesOf(store, rowOf(store, id)).filter(isLive).slice(0, limit),
      ),
  };
}

const MEMBERS = ["backendId", "role", "trustRoot", "trustDomain"] as const;

function rowOf(store: MemoryStore, id: SelectorEndId): SelectorEndRow {
  const row = store.selectorEnds.get(id);
  if (row !== undefined) return row;
  throw new BrokerError("not_found", "There is no such end by selector.", { where: "id" });
}

const fits = <T>(wanted: T | undefined, actual: T | null | undefined): boolean =>
  wanted === undefined || wanted === actual;
const isOfTrustDomain = (domain: string | undefined, workload: string | null): boolean =>
  domain === undefined || workload?.startsWith(`spiffe://${domain}/`) === true;
const isOfInitiator = (name: string | undefined, task: TaskRow | undefined): boolean =>
  name === undefined ||
  task?.verifiedInitiator === name ||
  task?.descriptor.claimedInitiator === name;

const isOfTrustRoot = (name: TrustRootName | undefined, task: TaskRow | undefined): boolean =>
  name === undefined || task?.workload.trustRoot === name || task?.initiatorTrustRoot === name;

function isLeaseSelected(store: MemoryStore, selector: EndSelector, row: LeaseRow): boolean {
  const task = row.taskId === null ? undefined : store.tasks.get(row.taskId);
  const { taskId } = selector;
  return (
    isLive(row) &&
    fits(selector.workload, row.workload) &&
    fits(selector.backendId, row.backendId) &&
    fits(selector.role, row.role) &&
    isOfTrustDomain(selector.trustDomain, row.workload) &&
    isOfInitiator(selector.initiator, task) &&
    isOfTrustRoot(selector.trustRoot, task) &&
    (taskId === undefined || task?.id === taskId || task?.ancestors.includes(taskId) === true)
  );
}

function isTaskSelected(store: MemoryStore, selector: EndSelector, task: TaskRow): boolean {
  const { backendId, role, taskId } = selector;
  const roles = task.descriptor.credentials.map((credential) => credential.role);
  const held = [...store.leases.values()].filter((row) => row.taskId === task.id && isLive(row));
  const name = workloadName(task.workload);
  return (
    task.state === "active" &&
    fits(selector.workload, name) &&
    isOfTrustDomain(selector.trustDomain, name) &&
    isOfInitiator(selector.initiator, task) &&
    isOfTrustRoot(selector.trustRoot, task) &&
    (taskId === undefined || task.id === taskId || task.ancestors.includes(taskId)) &&
    (backendId === undefined ||
      held.some((row) => row.backendId === backendId) ||
      roles.some((one) => one.startsWith(`${backendId}/`))) &&
    (role === undefined || held.some((row) => row.role === role) || roles.includes(role))
  );
}

const stillToEnd = (row: LeaseRow): boolean =>
  row.state === "active" || (row.state === "reserved" && row.endRequestedAt === null);

/** The selected ones, and all active ones below them: those follow. */
function tasksToKill(store: MemoryStore, selector: EndSelector): Map<TaskRow, boolean> {
  const selected = [...store.tasks.values()].filter((task) =>
    isTaskSelected(store, selector, task),
  );
  const found = new Map<TaskRow, boolean>();
  for (const task of selected) {
    for (const one of below(store, task.id)) {
      if (one.state === "active") found.set(one, selected.includes(one));
    }
  }
  return found;
}

function mustSelect(selector: EndSelector): void {
  if (Object.values(selector).some((value) => value !== undefined)) return;
  throw new InvalidInput("selector: name at least one of what is to end", { where: "selector" });
}

const digestOf = (ids: readonly (TaskId | LeaseId)[]): string =>
  createHash("sha256").update(ids.map(uuidOfId).toSorted().join(",")).digest("hex");

function preview(
  store: MemoryStore,
  target: EndTarget,
  selector: EndSelector,
  limit: number,
): EndPreview {
  mustSelect(selector);
  const tasks = target === "tasks" ? [...tasksToKill(store, selector).keys()] : [];
  const ids = new Set<TaskId | null>(tasks.map(({ id }) => id));
  const live = [...store.leases.values()].filter((row) =>
    target === "tasks" ? isLive(row) && ids.has(row.taskId) : isLeaseSelected(store, selector, row),
  );
  const ending = live.filter(stillToEnd);
  const groups = new Map<string, EndPreview["groups"][number]>();
  for (const { workload, role, backendId } of ending) {
    const key = JSON.stringify([workload, role, backendId]);
    const leases = (groups.get(key)?.leases ?? 0) + 1;
    groups.set(key, { workload, role, backendId, leases });
  }
  const ended = newestFirst(ending).map(({ id }) => id);
  const killed = newestFirst(tasks).map(({ id }) => id);
  return {
    tasks: tasks.length,
    leases: ending.length,
    endingAlready: live.length - ending.length,
    groups: [...groups.values()].toSorted((a, b) => b.leases - a.leases).slice(0, limit),
    taskIds: killed.slice(0, limit),
    leaseIds: ended.slice(0, limit),
    digest: digestOf(target === "tasks" ? killed : ended),
  };
}

function requestEnd(store: MemoryStore, request: EndRequestBySelector): SelectorEnd {
  const { target, selector, actor, decisionId, reason, lookSeconds, expectDigest } = request;
  if (expectDigest !== null && preview(store, target, selector, 1).digest !== expectDigest) {
    throw new BrokerError("conflict", "The set that would end is not the one that was looked at.", {
      where: "expect",
    });
  }
  mustSelect(selector);
  const now = store.clock.now();
  const end: SelectorEnd = {
    id: idFromUuid("selectorEnd", nextId(store).slice("evt_".length)),
    target,
    selector,
    actor,
    reason,
    requestedAt: now,
    lookUntil: plusSeconds(now, lookSeconds),
    looks: 0,
    finishedAt: null,
    result: null,
  };
  const row: SelectorEndRow = { end, touchedAt: now, tasks: new Map(), leases: new Map() };
  store.selectorEnds.set(end.id, row);
  look(store, row);
  const data = { end: end.id, target, selector: { ...selector }, reason };
  append(store, { kind: "selector_end.requested", actor, decisionId, data });
  return end;
}

function look(store: MemoryStore, { end, tasks, leases }: SelectorEndRow): number {
  let found = 0;
  if (end.target === "tasks") {
    for (const [task, selected] of tasksToKill(store, end.selector)) {
      if (tasks.has(task.id)) continue;
      tasks.set(task.id, { appeared: task.openedAt > end.requestedAt, pending: selected });
      if (selected) found++;
    }
  }
  for (const row of store.leases.values()) {
    const wanted =
      end.target === "tasks"
        ? isLive(row) && row.taskId !== null && tasks.has(row.taskId)
        : isLeaseSelected(store, end.selector, row);
    if (!wanted || leases.has(row.id)) continue;
    const pending = end.target === "leases" && stillToEnd(row);
    leases.set(row.id, { appeared: row.reservedAt > end.requestedAt, pending });
    if (pending) found++;
  }
  return found;
}

function mark(store: MemoryStore, row: SelectorEndRow, limit: number): MarkedMembers {
  const { end, tasks, leases } = row;
  row.touchedAt = store.clock.now();
  const pendingTasks = [...tasks].filter(([, member]) => member.pending).slice(0, limit);
  for (const [id, member] of pendingTasks) {
    member.pending = false;
    const task = store.tasks.get(id);
    if (task === undefined || task.state !== "active" || task.end !== null) continue;
    const { actor, reason } = end;
    task.end = { state: "killed", actor, reason };
    const data = { state: "killed", reason, end: end.id };
    append(store, { kind: "task.end_requested", actor, taskId: id, data });
  }
  const pendingLeases = [...leases].filter(([, member]) => member.pending).slice(0, limit);
  const due = new Set<BackendId>();
  for (const [id, member] of pendingLeases) {
    member.pending = false;
    const lease = store.leases.get(id);
    if (lease === undefined) continue;
    if (lease.state === "active") due.add(lease.backendId);
    markEnding(store, lease, end.actor, end.reason);
  }
  const left = [...tasks.values(), ...leases.values()].filter(({ pending }) => pending);
  return {
    marked: pendingTasks.length + pendingLeases.length,
    taskIds: pendingTasks.map(([id]) => id),
    backendIds: [...due],
    pending: left.length,
  };
}

const leasesOf = (store: MemoryStore, row: SelectorEndRow) =>
  newestFirst([...row.leases.keys()].flatMap((id) => store.leases.get(id) ?? [])).map((lease) =>
    leaseOf(store, lease),
  );

function report(
  store: MemoryStore,
  id: SelectorEndId,
  page: Parameters<SelectorEndLedger["report"]>[1],
): SelectorEndReport | null {
  const row = store.selectorEnds.get(id);
  if (row === undefined) return null;
  const leases = leasesOf(store, row);
  const counts = new Map<string, SelectorEndReport["states"][number]>();
  for (const { state, outcome } of leases) {
    const key = `${state} ${outcome ?? ""}`;
    counts.set(key, { state, outcome, leases: (counts.get(key)?.leases ?? 0) + 1 });
  }
  const members = [...row.tasks.values(), ...row.leases.values()];
  const aimedAt = row.end.target === "tasks" ? row.tasks : row.leases;
  return {
    end: row.end,
    tasks: row.tasks.size,
    leases: leases.length,
    appeared: [...aimedAt.values()].filter(({ appeared }) => appeared).length,
    pending: members.filter(({ pending }) => pending).length,
    states: [...counts.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one),
    exposure: summaryOf(leases.map(({ exposure }) => exposure)),
    page: paged("selector_end", leases, page),
  };
}
