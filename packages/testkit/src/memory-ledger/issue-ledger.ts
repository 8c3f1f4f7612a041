import {
  BrokerError,
  workloadName,
  type IssueLedger,
  type LeaseHandle,
  type LeaseIntent,
  type Actor,
  type IdempotencyScope,
  type Reservation,
  type ReserveResult,
  type Task,
  type TokenUse,
} from "@mayfly/spec";
import {
  append,
  proveAgain,
  indexLease,
  indexTask,
  isOpen,
  leaseEvent,
  leaseOf,
  lineage,
  markEnding,
  requireTask,
  taskOf,
  type LeaseRow,
  type MemoryStore,
  type TaskRow,
} from "./store.ts";

const BROKER: Actor = { kind: "system", name: "broker" };
const DAY_MS = 86_400_000;

const keyOf = (scope: IdempotencyScope): string => `${scope.scopeSha256}/${scope.key}`;

const handleOf = (row: LeaseRow): LeaseHandle<"reserved"> => ({
  id: row.id,
  state: "reserved",
  version: row.version,
});

export function createIssueLedger(store: MemoryStore): IssueLedger {
  const { gate } = store;
  return {
    readIdempotent: (scope) =>
      gate.run("readIdempotent", () => {
        const known = keyRow(store, keyOf(scope));
        if (known === null) return null;
        const { bodySha256, taskId, generation } = known;
        return { bodySha256, taskId, generation };
      }),
    reserve: (reservation) => gate.run("reserve", () => reserve(store, reservation)),
    checkpoint: (handle, sealedHandle) =>
      gate.run("checkpoint", () => {
        reservedRow(store, handle).sealedHandle = sealedHandle;
      }),
    activate: (handle, activation) =>
      gate.run("activate", () => {
        const row = store.leases.get(handle.id);
        if (row?.state !== "reserved" || row.version !== handle.version) return { kind: "refused" };
        const reason = withheldBecause(store, row);
        const { clock } = store;
        row.version++;
        row.sealedHandle = activation.sealedHandle;
        row.fingerprint = activation.fingerprint;
        row.waiting =
          activation.outlivesLease === true ? { kind: "unknown", reason: "live" } : null;
        row.expiresAt = activation.expiresAt;
        row.isUnsettled = false;
        if (reason !== null) {
          row.state = "ending";
          row.endRequestedAt ??= clock.now();
          row.endReason ??= "the task was ended before the credential was handed out";
          row.nextAttemptAt = clock.now();
          leaseEvent(store, row, "lease.withheld", BROKER, { reason });
          return { kind: "withheld", reason };
        }
        row.state = "active";
        row.activatedAt = clock.now();
        leaseEvent(store, row, "lease.activated", BROKER, { expires_at: row.expiresAt });
        return { kind: "active", lease: { id: row.id, state: "active", version: row.version } };
      }),
    abandon: (handle, why) =>
      gate.run("abandon", () => {
        const row = reservedRow(store, handle);
        row.state = "ended";
        row.outcome = "abandoned";
        row.endedAt = store.clock.now();
        row.endReason = why;
        row.version++;
        indexLease(store, row);
        leaseEvent(store, row, "lease.abandoned", BROKER, { why });
      }),
    recordDenial: ({ decision, workload, role, tokenUse }) =>
      gate.run("recordDenial", () => {
        store.decisions.set(decision.id, decision);
        append(store, {
          kind: decision.verdict.effect === "permit" ? "decision.permitted" : "decision.denied",
          actor: { kind: "workload", name: workload },
          taskId: decision.taskId,
          decisionId: decision.id,
          data: { role },
        });
        if (tokenUse !== undefined) checkOneTime(store, tokenUse)();
      }),
    recordTokenUse: ({ issuer, jti }) =>
      gate.run("recordTokenUse", () => {
        const token = `${issuer} ${jti}`;
        if (store.oneTime.has(token)) return false;
        store.oneTime.set(token, "");
        return true;
      }),
    recordRenewal: (renewal) =>
      gate.run("recordRenewal", () => {
        const row = store.leases.get(renewal.leaseId);
        const task = row === undefined || row.taskId === null ? null : store.tasks.get(row.taskId);
        if (row === undefined || task === null || task === undefined) {
          throw new BrokerError("not_found", `There is no lease ${renewal.leaseId}.`);
        }
        if (renewal.catalogVersion !== store.catalogVersion()) return { kind: "stale_catalog" };
        if (!isOpen(store, task)) throw ended(task);
        const { expiresAt, decision } = renewal;
        const isLater = expiresAt > row.expiresAt && expiresAt <= task.deadlineAt;
        if (row.state !== "active" || row.sealedHandle === null || !isLater) {
          throw new BrokerError("conflict", `${row.id} cannot be renewed to that time.`);
        }
        store.decisions.set(decision.id, { ...decision, taskId: row.taskId });
        row.expiresAt = expiresAt;
        row.version++;
        const actor: Actor = { kind: "workload", name: row.workload ?? "" };
        const ids = { taskId: row.taskId, leaseId: row.id, decisionId: decision.id };
        append(store, { kind: "decision.permitted", actor, ...ids });
        append(store, { kind: "lease.renewed", actor, ...ids, data: { expires_at: expiresAt } });
        return { kind: "recorded", sealedHandle: row.sealedHandle, lease: leaseOf(store, row) };
      }),
  };
}

function keyRow(store: MemoryStore, key: string) {
  const known = store.keys.get(key);
  if (known === undefined || store.clock.now() - known.recordedAt > DAY_MS) return null;
  return known;
}

function reservedRow(store: MemoryStore, handle: LeaseHandle<"reserved">): LeaseRow {
  const row = store.leases.get(handle.id);
  if (row?.state === "reserved" && row.version === handle.version) return row;
  throw new BrokerError("conflict", `${handle.id} is no longer reserved.`);
}

function withheldBecause(store: MemoryStore, row: LeaseRow): string | null {
  const task = row.taskId === null ? undefined : store.tasks.get(row.taskId);
  const isToEnd = row.isSuperseded || row.endRequestedAt !== null;
  // Not its deadline, which the lease's own expiry lies within.
  const goesOn =
    task !== undefined &&
    lineage(store, task).every((one) => one.state === "active" && one.end === null);
  if (!isToEnd && goesOn) return null;
  return "the end of the task or of the lease was requested meanwhile";
}

const ended = (task: Pick<Task, "id">): BrokerError =>
  new BrokerError("task_ended", `${task.id} is not active, or its end was requested.`);

/** Everything is checked before anything is changed: all or nothing. */
function reserve(store: MemoryStore, reservation: Reservation): ReserveResult {
  const { idempotency, leases } = reservation;
  const key = idempotency === null ? null : keyOf(idempotency);
  const seen = key === null ? null : keyRow(store, key);
  if (idempotency !== null) {
    if (seen !== null && seen.bodySha256 !== idempotency.bodySha256) {
      throw new BrokerError("idempotency_mismatch", "The Idempotency-Key has another body.");
    }
    if ((seen?.generation ?? 0) !== idempotency.seenGeneration)
      return { kind: "stale_idempotency" };
  }
  if (!isCatalogCurrent(store, reservation)) return { kind: "stale_catalog" };
  const useOneTime = checkOneTime(store, reservation);
  const task = checkTask(store, reservation);
  checkLimits(store, reservation, task);

  useOneTime();
  store.tasks.set(task.id, task);
  indexTask(store, task);
  recordTask(store, reservation, task);
  for (const decision of reservation.decisions) {
    store.decisions.set(decision.id, { ...decision, taskId: task.id });
    const actor: Actor = { kind: "workload", name: workloadName(task.workload) };
    const data = { determining: decision.verdict.determining };
    const { id: decisionId } = decision;
    const leaseId = leases.find((intent) => intent.decisionId === decisionId)?.id ?? null;
    const kind = "decision.permitted";
    append(store, { kind, actor, taskId: task.id, leaseId, decisionId, data });
  }
  if (key !== null) supersede(store, key);
  const rows = leases.map((intent) => insertLease(store, intent, task, key));
  const generation = (seen?.generation ?? 0) + 1;
  if (key !== null && idempotency !== null) {
    const { bodySha256 } = idempotency;
    const recordedAt = seen?.recordedAt ?? store.clock.now();
    store.keys.set(key, { bodySha256, taskId: task.id, generation, recordedAt });
  }
  return {
    kind: "reserved",
    task: taskOf(store, task),
    leases: rows.map(handleOf),
    generation: key === null ? 0 : generation,
  };
}

/** A backend that is gone, disabled or at another revision was judged by an old catalog. */
const isCatalogCurrent = (store: MemoryStore, { catalogVersion, leases }: Reservation): boolean =>
  catalogVersion === store.catalogVersion() &&
  leases.every(({ backendId, backendRevision }) => {
    const facts = store.backendFacts(backendId);
    return facts !== null && facts.enabled && facts.revision === backendRevision;
  });

function checkOneTime(
  store: MemoryStore,
  { oneTime, idempotency, confirmation }: Reservation | TokenUse,
): () => void {
  if (oneTime === null) return () => undefined;
  const token = `${oneTime.issuer} ${oneTime.jti}`;
  const use =
    idempotency === null ? null : `${keyOf(idempotency)} ${idempotency.bodySha256} ${confirmation}`;
  const used = store.oneTime.get(token);
  if (used !== undefined && used !== use) {
    throw new BrokerError("replayed", "This one-time token was presented before.");
  }
  return () => {
    store.oneTime.set(token, use ?? "");
  };
}

function checkTask(store: MemoryStore, { task, confirmation }: Reservation): TaskRow {
  if (task.kind === "existing") {
    const row = requireTask(store, task.taskId);
    if (!isOpen(store, row)) throw ended(row);
    return row;
  }
  const { id, parentId, identity, descriptor, verifiedInitiator, initiatorTrustRoot } = task.task;
  const parent = parentId === null ? null : requireTask(store, parentId);
  if (parent !== null && !isOpen(store, parent)) throw ended(parent);
  const now = store.clock.now();
  return {
    id,
    parentId,
    rootId: parent?.rootId ?? id,
    ancestors: parent === null ? [] : [...parent.ancestors, parent.id],
    depth: parent === null ? 0 : parent.depth + 1,
    workload: identity.workload,
    verifiedInitiator,
    initiatorTrustRoot,
    initiatorActors: task.task.initiatorActors ?? [],
    descriptor,
    state: "active",
    confirmation,
    openedAt: now,
    deadlineAt:
      parent !== null && parent.deadlineAt < task.task.deadlineAt
        ? parent.deadlineAt
        : task.task.deadlineAt,
    lastHeartbeatAt: now,
    identityProvenAt: identity.provenAt,
    identityMaxAgeSeconds: identity.identityMaxAgeSeconds,
    endedAt: null,
    endReason: null,
    end: null,
  };
}

function checkLimits(store: MemoryStore, { leases, limits }: Reservation, task: TaskRow): void {
  const live = [...store.live];
  const workload = workloadName(task.workload);
  const check = (what: string, limit: number, isCounted: (row: LeaseRow) => boolean): void => {
    const wanted = live.filter(isCounted).length + leases.length;
    if (leases.length === 0 || wanted <= limit) return;
    throw new BrokerError("lease_limit", `${what} may have at most ${limit} live leases.`);
  };
  check("the task", limits.perTask, (row) => row.taskId === task.id);
  check("the workload", limits.perWorkload, (row) => row.workload === workload);
  for (const { role } of leases) {
    check(`the role ${role}`, limits.perRole, (row) => row.role === role);
  }
}

function recordTask(store: MemoryStore, { task }: Reservation, row: TaskRow): void {
  const actor: Actor = { kind: "workload", name: workloadName(row.workload) };
  if (task.kind === "open") {
    const { initiatorActors } = task.task;
    const data = {
      ref: row.descriptor.ref,
      parent: row.parentId,
      ...(initiatorActors === undefined ? {} : { initiatorActors }),
    };
    append(store, { kind: "task.opened", actor, taskId: row.id, data });
    return;
  }
  if (task.identity === null) return;
  proveAgain(row, task.identity);
  row.lastHeartbeatAt = store.clock.now();
  append(store, { kind: "task.heartbeat_proven", actor, taskId: row.id });
}

function supersede(store: MemoryStore, key: string): void {
  for (const row of store.live) {
    if (row.key !== key) continue;
    row.isSuperseded = true;
    markEnding(store, row, BROKER, "superseded by a repeated request");
  }
}

function insertLease(
  store: MemoryStore,
  intent: LeaseIntent,
  task: TaskRow,
  key: string | null,
): LeaseRow {
  const row: LeaseRow = {
    id: intent.id,
    taskId: task.id,
    role: intent.role,
    backendId: intent.backendId,
    backendType: intent.backendType,
    backendRevision: intent.backendRevision,
    workload: workloadName(task.workload),
    decisionId: intent.decisionId,
    state: "reserved",
    outcome: null,
    plan: intent.plan,
    fingerprint: null,
    reservedAt: store.clock.now(),
    issueBy: intent.issueBy,
    settleBy: intent.settleBy,
    activatedAt: null,
    expiresAt: intent.plan.expiresAt,
    endRequestedAt: null,
    endReason: null,
    endedAt: null,
    attempts: 0,
    nextAttemptAt: null,
    lastError: null,
    looked: null,
    version: 1,
    sealedHandle: null,
    waiting: null,
    isUnsettled: true,
    isSuperseded: false,
    claimToken: null,
    claimedUntil: null,
    key,
  };
  store.leases.set(row.id, row);
  indexLease(store, row);
  const actor: Actor = { kind: "workload", name: row.workload ?? "" };
  const ids = { taskId: row.taskId, leaseId: row.id, decisionId: row.decisionId };
  append(store, { kind: "lease.reserved", actor, ...ids, data: { role: intent.role } });
  return row;
}
