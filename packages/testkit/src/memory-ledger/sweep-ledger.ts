import {
  BrokerError,
  instantMs,
  instantOfId,
  plusSeconds,
  type Actor,
  type BackendId,
  type Claim,
  type ClaimFound,
  type ClaimOutcome,
  type DueTask,
  type DurationSeconds,
  type InstantMs,
  type IssuingHealth,
  type JsonObject,
  type LeaseId,
  type SweepLedger,
} from "@mayfly/spec";
import {
  EPOCH,
  indexLease,
  isLive,
  leaseEvent,
  lineage,
  markEnding,
  sweepAge,
  type LeaseRow,
  type MemoryStore,
  type TaskRow,
} from "./store.ts";
import { endRow, inherited } from "./task-ledger.ts";

const WORKER: Actor = { kind: "system", name: "worker" };
const SWEEP: Actor = { kind: "system", name: "sweep" };

export function createSweepLedger(store: MemoryStore): SweepLedger {
  const { gate } = store;
  return {
    dueTasks: (limit) => gate.run("dueTasks", () => dueTasks(store).slice(0, limit)),
    endStrays: (limit) => gate.run("endStrays", () => endStrays(store, limit)),
    dueBackends: () =>
      gate.run("dueBackends", () => {
        const due = [...store.live].filter((row) => isDue(store, row));
        return [...new Set(due.map(({ backendId }) => backendId))].toSorted();
      }),
    claim: (backendId, limit, claimSeconds, from) =>
      gate.run("claim", () => {
        const now = store.clock.now();
        return [...store.live]
          .filter((row) => row.backendId === backendId && isDue(store, row))
          .filter((row) => dueAt(row) >= (from ?? EPOCH))
          .filter((row) => row.claimedUntil === null || row.claimedUntil <= now)
          .toSorted((a, b) => dueAt(a) - dueAt(b))
          .slice(0, limit)
          .map((row) => claim(store, row, claimSeconds));
      }),
    settle: (claimed, outcome) => gate.run("settle", () => settle(store, claimed, outcome)),
    now: () => gate.run("now", () => store.clock.now()),
    adoptOrphans: (backendId, marked, listedAt) =>
      gate.run("adoptOrphans", () => {
        const [here, elsewhere] = partition(store, backendId, marked);
        return {
          orphans: here.flatMap((one) => adopt(store, backendId, one, listedAt) ?? []),
          unverified: elsewhere.map(({ mark }) => mark.leaseId),
        };
      }),
    recordSweep: (backendId) =>
      gate.run("recordSweep", () => {
        store.sweeps.set(backendId, store.clock.now());
      }),
  };
}

export function createIssuingHealth(store: MemoryStore): IssuingHealth {
  return {
    read: (backendId) =>
      store.gate.run("health", () => ({
        sweepAgeSeconds: sweepAge(store, null),
        listingAgeSeconds: sweepAge(store, backendId),
        stuck: [...store.live].filter((row) => row.backendId === backendId && row.state === "stuck")
          .length,
      })),
  };
}

function dueTasks(store: MemoryStore): readonly DueTask[] {
  const now = store.clock.now();
  const idleMs = (row: TaskRow): number => {
    const since = store.clock.monotonicMs() - (now - row.lastHeartbeatAt);
    return now - row.lastHeartbeatAt - store.gate.downSince(since);
  };
  return [...store.activeTasks].flatMap((row): readonly DueTask[] => {
    const { id } = row;
    if (row.end !== null) return [{ id, due: "end_requested" }];
    if (row.deadlineAt <= now) return [{ id, due: "deadline" }];
    const isIdle = idleMs(row) >= row.descriptor.idleTimeoutSeconds * 1000;
    return isIdle ? [{ id, due: "idle" }] : [];
  });
}

function endStrays(store: MemoryStore, limit: number): number {
  let count = 0;
  for (const row of store.activeTasks) {
    if (count >= limit) break;
    const parent = lineage(store, row).findLast((one) => one !== row && one.state !== "active");
    if (parent === undefined || parent.state === "active") continue;
    endRow(store, row, inherited(parent.state), SWEEP, "a task above it ended");
    count++;
  }
  for (const row of store.live) {
    const task = row.taskId === null ? undefined : store.tasks.get(row.taskId);
    if (count >= limit || task === undefined || task.state === "active") continue;
    if (row.state !== "active" && row.state !== "reserved") continue;
    if (row.state === "reserved" && row.endRequestedAt !== null) continue;
    markEnding(store, row, SWEEP, "its task is not active");
    count++;
  }
  return count;
}

function dueAt(row: LeaseRow): number {
  switch (row.state) {
    case "reserved":
      return row.settleBy;
    case "active":
      return row.expiresAt;
    case "ending":
    case "stuck":
      return row.nextAttemptAt ?? EPOCH;
    case "ended":
      return Number.POSITIVE_INFINITY;
  }
}
const isDue = (store: MemoryStore, row: LeaseRow): boolean => dueAt(row) <= store.clock.now();

function claim(store: MemoryStore, row: LeaseRow, claimSeconds: DurationSeconds): Claim {
  const now = store.clock.now();
  const due = instantMs(dueAt(row));
  const dueFrom = row.endRequestedAt ?? due;
  const dueForSeconds = row.endReason === "resurfaced" ? null : Math.max(0, (now - dueFrom) / 1000);
  if (row.state === "active" || row.state === "reserved") {
    const was = row.state;
    row.nextAttemptAt = due;
    row.state = "ending";
    row.version++;
    row.endRequestedAt ??= now;
    row.endReason ??= was === "active" ? "its time was over" : "nobody settled it in time";
    const kind = was === "active" ? "lease.ending" : "lease.recovering";
    leaseEvent(store, row, kind, WORKER, { reason: row.endReason });
  }
  const token = `claim-${store.counter++}`;
  row.claimToken = token;
  row.claimedUntil = plusSeconds(now, claimSeconds);
  const { sealedHandle } = row;
  return {
    leaseId: row.id,
    taskId: row.taskId,
    backendId: row.backendId,
    backendRevision: row.backendRevision,
    token,
    attempts: row.attempts,
    plan: row.plan,
    expiresAt: row.expiresAt,
    dueAt: due,
    dueForSeconds,
    work:
      row.isUnsettled || sealedHandle === null
        ? {
            kind: "recover",
            sealedHandle,
            settledForSeconds: Math.max(0, (now - row.settleBy) / 1000),
            found: foundIn(row),
          }
        : { kind: "revoke", sealedHandle },
  };
}

function foundIn({ looked }: LeaseRow): JsonObject | null {
  const found = looked?.["found"];
  return isJsonObject(found) ? found : null;
}
const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function settle(store: MemoryStore, claimed: Claim, outcome: ClaimOutcome | ClaimFound): boolean {
  const row = store.leases.get(claimed.leaseId);
  if (row === undefined || row.claimToken !== claimed.token) return false;
  if (row.state !== "ending" && row.state !== "stuck") return false;
  const now = store.clock.now();
  if (outcome.kind === "found") {
    row.version++;
    row.looked = { found: outcome.looked };
    leaseEvent(store, row, "lease.recovering", WORKER, row.looked);
    return true;
  }
  row.claimToken = null;
  row.claimedUntil = null;
  row.version++;
  if (outcome.kind !== "failed") {
    row.waiting = null;
    row.lastError = null;
  }
  switch (outcome.kind) {
    case "ended":
      row.state = "ended";
      row.outcome = outcome.outcome;
      row.looked = outcome.looked;
      row.endedAt = now;
      row.nextAttemptAt = null;
      indexLease(store, row);
      leaseEvent(store, row, "lease.ended", WORKER, {
        outcome: outcome.outcome,
        looked: outcome.looked,
      });
      return true;
    case "wait":
      row.waiting = outcome.exposure;
      row.nextAttemptAt = plusSeconds(now, outcome.seconds);
      leaseEvent(store, row, "lease.waiting", WORKER, { seconds: outcome.seconds });
      return true;
    case "failed":
      row.attempts++;
      row.lastError = outcome.error;
      row.nextAttemptAt = plusSeconds(now, outcome.retryInSeconds);
      if (outcome.stuck && row.state !== "stuck") {
        row.state = "stuck";
        leaseEvent(store, row, "lease.stuck", WORKER, { error: outcome.error });
      } else {
        leaseEvent(store, row, "lease.retried", WORKER, { error: outcome.error });
      }
      return true;
  }
}

type MarkedRow = Parameters<SweepLedger["adoptOrphans"]>[1][number];

/** What may be of that backend, and what surely is of another. */
function partition(store: MemoryStore, backendId: BackendId, marked: readonly MarkedRow[]) {
  const isHere = ({ mark }: MarkedRow): boolean =>
    (store.leases.get(mark.leaseId)?.backendId ?? backendId) === backendId;
  return [marked.filter(isHere), marked.filter((one) => !isHere(one))] as const;
}

function adopt(
  store: MemoryStore,
  backendId: BackendId,
  marked: MarkedRow,
  listedAt: InstantMs,
): LeaseId | null {
  const now = store.clock.now();
  const { mark, sealedHandle } = marked;
  const known = store.leases.get(mark.leaseId);
  if (known !== undefined && isLive(known)) return null;
  if ((known?.endedAt ?? instantOfId(mark.leaseId)) >= listedAt) return null;
  const row = known ?? lostRow(store, backendId, marked);
  row.state = "ending";
  row.outcome = null;
  row.endedAt = null;
  row.endRequestedAt ??= now;
  row.endReason = "resurfaced";
  row.nextAttemptAt = now;
  row.attempts = 0;
  row.isUnsettled = false;
  row.sealedHandle = sealedHandle;
  row.version++;
  store.leases.set(row.id, row);
  indexLease(store, row);
  leaseEvent(store, row, "lease.resurfaced", SWEEP, { external_name: marked.externalName });
  return row.id;
}

/** A restore lost it: what is known of it is what the backend shows. */
function lostRow(store: MemoryStore, backendId: BackendId, marked: MarkedRow): LeaseRow {
  const now = store.clock.now();
  const facts = store.backendFacts(backendId);
  if (facts === null) throw new BrokerError("not_found", "There is no such backend.");
  const { type, revision } = facts;
  const { leaseId } = marked.mark;
  return {
    id: leaseId,
    taskId: null,
    role: null,
    backendId,
    backendType: type,
    backendRevision: revision,
    workload: null,
    decisionId: null,
    state: "ending",
    outcome: null,
    plan: { leaseId, externalName: marked.externalName, expiresAt: now, grant: {} },
    fingerprint: null,
    reservedAt: now,
    issueBy: now,
    settleBy: now,
    activatedAt: null,
    expiresAt: now,
    endRequestedAt: now,
    endReason: "resurfaced",
    endedAt: null,
    attempts: 0,
    nextAttemptAt: now,
    lastError: null,
    looked: null,
    version: 1,
    sealedHandle: marked.sealedHandle,
    waiting: null,
    isUnsettled: false,
    isSuperseded: false,
    claimToken: null,
    claimedUntil: null,
    key: null,
  };
}
