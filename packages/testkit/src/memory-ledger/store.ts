import { createHash } from "node:crypto";
import {
  BrokerError,
  LIVE_LEASE_STATES,
  idFromUuid,
  instantMs,
  type Actor,
  type BackendId,
  type Clock,
  type Decision,
  type DecisionId,
  type EndedTaskState,
  type EventKind,
  type Exposure,
  type IdOf,
  type InstantMs,
  type JsonObject,
  type Lease,
  type LeaseId,
  type LedgerEvent,
  type RegisteredBackend,
  type RegisteredNames,
  type SelectorEnd,
  type SelectorEndId,
  type Task,
  type TaskId,
  type VerifiedIdentity,
} from "@mayfly/spec";
import { createBundleSequences, type MemoryBundleSequences } from "./bundle-sequences.ts";
import { createFaultGate, type FaultGate } from "./faults.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A lease as kept; {@link leaseOf} is what callers see of it. */
export interface LeaseRow extends Mutable<Omit<Lease, "exposure">> {
  version: number;
  sealedHandle: Uint8Array | null;
  /** What a settle said while it waits; of what outlives its lease, what its activation said. */
  waiting: Exclude<Exposure, { kind: "none" }> | null;
  /** Whether its mint was never settled: the next claim recovers, it does not revoke. */
  isUnsettled: boolean;
  /** A later generation of its Idempotency-Key exists. */
  isSuperseded: boolean;
  claimToken: string | null;
  claimedUntil: InstantMs | null;
  /** The Idempotency-Key whose next generation ends it. */
  key: string | null;
}

export interface TaskRow extends Mutable<Omit<Task, "endRequested">> {
  readonly initiatorActors: readonly string[];
  end: {
    readonly state: EndedTaskState;
    readonly actor: Actor;
    readonly reason: string;
  } | null;
}

export interface KeyRow {
  readonly bodySha256: string;
  readonly taskId: TaskId;
  readonly generation: number;
  readonly recordedAt: InstantMs;
}

/** An end by selector, with what it found: whether it appeared since, and is still to end. */
export interface SelectorEndRow {
  end: SelectorEnd;
  touchedAt: InstantMs;
  readonly tasks: Map<TaskId, SelectorMember>;
  readonly leases: Map<LeaseId, SelectorMember>;
}
export interface SelectorMember {
  readonly appeared: boolean;
  pending: boolean;
}

/** Everything that the ledger in memory remembers, shared by its ports. */
/** The last reading of a backend's ended leases. */
interface StoredReading {
  readonly number: number;
  readonly listSeconds: number;
  readonly longerListsUntil?: InstantMs;
}

export interface MemoryStore {
  readonly clock: Clock;
  readonly gate: FaultGate;
  readonly tasks: Map<TaskId, TaskRow>;
  readonly leases: Map<LeaseId, LeaseRow>;
  /** Of those, what is not ended: what sweeps and limits look through, as by a partial index. */
  readonly live: Set<LeaseRow>;
  readonly activeTasks: Set<TaskRow>;
  readonly decisions: Map<DecisionId, Decision>;
  readonly events: Mutable<LedgerEvent>[];
  readonly keys: Map<string, KeyRow>;
  readonly oneTime: Map<string, string>;
  readonly bundleSequences: MemoryBundleSequences;
  /** Number of the last reading of a backend's ended leases. */
  readonly readings: Map<BackendId, StoredReading>;
  readonly sweeps: Map<BackendId | null, InstantMs>;
  readonly selectorEnds: Map<SelectorEndId, SelectorEndRow>;
  /** Set by the catalog. */
  catalogVersion: () => number;
  backendIds: () => readonly BackendId[];
  wasRegistered: (member: keyof RegisteredNames, name: string) => boolean;
  backendFacts: (id: BackendId) => Pick<RegisteredBackend, "type" | "revision" | "enabled"> | null;
  counter: number;
}

export function createStore(clock: Clock): MemoryStore {
  return {
    clock,
    gate: createFaultGate(() => clock.monotonicMs()),
    tasks: new Map(),
    leases: new Map(),
    live: new Set(),
    activeTasks: new Set(),
    decisions: new Map(),
    events: [],
    keys: new Map(),
    oneTime: new Map(),
    bundleSequences: createBundleSequences(),
    readings: new Map(),
    sweeps: new Map(),
    selectorEnds: new Map(),
    catalogVersion: () => 0,
    backendIds: () => [],
    wasRegistered: () => false,
    backendFacts: () => null,
    counter: 0,
  };
}

/** Ids of the ledger's own making: of its clock and a counter, so that a run can be repeated. */
export function nextId(store: MemoryStore): IdOf["event"] {
  const time = Math.trunc(store.clock.now()).toString(16).padStart(12, "0");
  const count = (store.counter++).toString(16).padStart(15, "0");
  return idFromUuid("event", `${time}7${count.slice(0, 3)}8${count.slice(3)}000`);
}

export interface NewEvent {
  readonly kind: EventKind;
  readonly actor: Actor;
  readonly taskId?: TaskId | null;
  readonly leaseId?: LeaseId | null;
  readonly decisionId?: DecisionId | null;
  readonly data?: JsonObject;
}

export function append(store: MemoryStore, event: NewEvent): void {
  store.events.push({
    id: nextId(store),
    kind: event.kind,
    at: store.clock.now(),
    actor: event.actor,
    taskId: event.taskId ?? null,
    leaseId: event.leaseId ?? null,
    decisionId: event.decisionId ?? null,
    data: event.data ?? {},
    logIndex: null,
  });
}

export const leaseEvent = (
  store: MemoryStore,
  row: LeaseRow,
  kind: EventKind,
  actor: Actor,
  data: JsonObject = {},
): void => {
  const { taskId, id: leaseId } = row;
  append(store, { kind, actor, taskId, leaseId, data });
};

const LIVE: ReadonlySet<string> = new Set(LIVE_LEASE_STATES);
export const isLive = (row: Pick<LeaseRow, "state">): boolean => LIVE.has(row.state);

/** After each change that makes a lease live, or ends it. */
export function indexLease(store: MemoryStore, row: LeaseRow): void {
  if (isLive(row)) store.live.add(row);
  else store.live.delete(row);
}
export function indexTask(store: MemoryStore, row: TaskRow): void {
  if (row.state === "active") store.activeTasks.add(row);
  else store.activeTasks.delete(row);
}

export function leaseOf(store: MemoryStore, row: LeaseRow): Lease {
  return {
    id: row.id,
    taskId: row.taskId,
    role: row.role,
    backendId: row.backendId,
    backendType: row.backendType,
    backendRevision: row.backendRevision,
    workload: row.workload,
    decisionId: row.decisionId,
    state: row.state,
    outcome: row.outcome,
    exposure: exposureOf(row, store.clock.now()),
    plan: row.plan,
    fingerprint: row.fingerprint,
    reservedAt: row.reservedAt,
    issueBy: row.issueBy,
    settleBy: row.settleBy,
    activatedAt: row.activatedAt,
    expiresAt: row.expiresAt,
    endRequestedAt: row.endRequestedAt,
    endReason: row.endReason,
    endedAt: row.endedAt,
    attempts: row.attempts,
    nextAttemptAt: row.state === "ending" || row.state === "stuck" ? row.nextAttemptAt : null,
    lastError: row.lastError,
    looked: row.looked,
  };
}

function exposureOf(row: LeaseRow, now: InstantMs): Exposure {
  const live: Exposure =
    row.expiresAt <= now
      ? { kind: "unknown", reason: "live" }
      : { kind: "until", until: row.expiresAt, reason: "live" };
  switch (row.state) {
    case "ended":
      return { kind: "none" };
    case "stuck":
      return row.waiting ?? { kind: "unknown", reason: "stuck" };
    case "reserved":
      return { kind: "unknown", reason: "unsettled" };
    case "active":
      return row.waiting ?? live;
    case "ending":
      if (row.waiting !== null) return row.waiting;
      return row.isUnsettled ? { kind: "unknown", reason: "unsettled" } : live;
  }
}

export const lineage = (store: MemoryStore, task: TaskRow): readonly TaskRow[] =>
  [...task.ancestors, task.id].flatMap((id) => store.tasks.get(id) ?? []);

export function taskOf(store: MemoryStore, row: TaskRow): Task {
  return {
    id: row.id,
    parentId: row.parentId,
    rootId: row.rootId,
    ancestors: row.ancestors,
    depth: row.depth,
    workload: row.workload,
    verifiedInitiator: row.verifiedInitiator,
    initiatorTrustRoot: row.initiatorTrustRoot,
    descriptor: row.descriptor,
    state: row.state,
    endRequested: lineage(store, row).some((one) => one.end !== null),
    confirmation: row.confirmation,
    openedAt: row.openedAt,
    deadlineAt: row.deadlineAt,
    lastHeartbeatAt: row.lastHeartbeatAt,
    identityProvenAt: row.identityProvenAt,
    identityMaxAgeSeconds: row.identityMaxAgeSeconds,
    endedAt: row.endedAt,
    endReason: row.endReason,
  };
}

/** Whether anything new may come to be below it. */
export const isOpen = (store: MemoryStore, row: TaskRow): boolean =>
  lineage(store, row).every(
    (one) => one.state === "active" && one.end === null && store.clock.now() < one.deadlineAt,
  );

export const below = (store: MemoryStore, id: TaskId): readonly TaskRow[] =>
  [...store.tasks.values()].filter((row) => row.id === id || row.ancestors.includes(id));

export function markEnding(
  store: MemoryStore,
  row: LeaseRow,
  actor: Actor,
  reason: string,
  decisionId: DecisionId | null = null,
): void {
  const now = store.clock.now();
  if (row.state !== "active" && row.state !== "reserved") return;
  if (row.endRequestedAt === null) {
    row.endRequestedAt = now;
    row.endReason = reason;
  }
  if (row.state === "reserved") return;
  row.state = "ending";
  row.version++;
  row.nextAttemptAt = now;
  const { id: leaseId, taskId } = row;
  append(store, { kind: "lease.ending", actor, taskId, leaseId, decisionId, data: { reason } });
}

export function requireTask(store: MemoryStore, id: TaskId): TaskRow {
  const row = store.tasks.get(id);
  if (row !== undefined) return row;
  throw new BrokerError("not_found", `There is no task ${id}.`, { where: "task" });
}

/** Moves the proof forward, never back: requests overtake each other. */
export function proveAgain(row: TaskRow, proof: VerifiedIdentity): void {
  row.identityProvenAt = instantMs(Math.max(row.identityProvenAt, proof.provenAt));
  row.identityMaxAgeSeconds = proof.identityMaxAgeSeconds;
}

export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
export const EPOCH = instantMs(0);

/** Seconds since the last sweep, or the last listing of this backend; null: never. */
export function sweepAge(store: MemoryStore, key: BackendId | null): number | null {
  const at = store.sweeps.get(key);
  return at === undefined ? null : (store.clock.now() - at) / 1000;
}
