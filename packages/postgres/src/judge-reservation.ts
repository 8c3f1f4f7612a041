import { BrokerError, uuidOfId, workloadName, type Reservation, type TokenUse } from "@mayfly/spec";
import type { LockMode } from "./lock-task-paths.ts";
import {
  idempotencyKey,
  oneTimeKey,
  standingTask,
  type OneTimeFacts,
  type ReserveFacts,
  type TaskFacts,
} from "./reserve-facts.ts";

export interface Accepted {
  readonly kind: "accepted";
  readonly reservation: Reservation;
  /** The existing task, or the parent of the one to open; null for a root. */
  readonly standing: TaskFacts | null;
  readonly workload: string;
  /** 0 without an idempotency key. */
  readonly generation: number;
  /** Whether the key's row is there to be updated. */
  readonly keyExists: boolean;
  readonly tokenExists: boolean;
}
export type Judgement =
  | Accepted
  | { readonly kind: "alone" }
  | { readonly kind: "stale_catalog" }
  | { readonly kind: "stale_idempotency" }
  | { readonly kind: "refused"; readonly error: BrokerError };

const refused = (error: BrokerError): Judgement => ({ kind: "refused", error });

/**
 * Whether a reservation may be written, by what was read under the locks. `running` counts the
 * leases that earlier reservations of the same batch were granted.
 */
export function judgeReservation(
  facts: ReserveFacts,
  running: Map<string, number>,
  reservation: Reservation,
  mode: LockMode,
): Judgement {
  const key = judgeKey(facts, reservation, mode);
  if (key.kind !== "fine") return key;
  const token = judgeToken(facts, reservation);
  if (token.kind !== "fine") return token;
  if (!catalogIsCurrent(facts, reservation)) return { kind: "stale_catalog" };
  const standing = judgeTask(facts, reservation, mode);
  if (standing.kind !== "fine") return standing;
  const { task } = reservation;
  const workload =
    task.kind === "open"
      ? workloadName(task.task.identity.workload)
      : (standing.task?.workload_name ?? "");
  const over = overLimit(facts, running, reservation, workload);
  if (over !== null) return refused(over);
  return {
    kind: "accepted",
    reservation,
    standing: standing.task,
    workload,
    generation: key.generation,
    keyExists: key.exists,
    tokenExists: token.exists,
  };
}

function judgeKey(facts: ReserveFacts, { idempotency }: Reservation, mode: LockMode) {
  if (idempotency === null) return { kind: "fine", generation: 0, exists: false } as const;
  const name = idempotencyKey(idempotency);
  const row = facts.idempotency.get(name);
  const fresh = row === undefined || row.expired;
  if (row !== undefined && !facts.lockedKeys.has(name)) {
    // Alone, we waited for every row that there was: this one has come since.
    return { kind: mode === "batch" ? "alone" : "stale_idempotency" } as const;
  }
  if (!fresh && row.body_sha256 !== idempotency.bodySha256) {
    const message = "This Idempotency-Key was used with another request.";
    return refused(new BrokerError("idempotency_mismatch", message, { where: "Idempotency-Key" }));
  }
  if ((fresh ? 0 : row.generation) !== idempotency.seenGeneration) {
    return { kind: "stale_idempotency" } as const;
  }
  const generation = fresh ? 1 : row.generation + 1;
  return { kind: "fine", generation, exists: row !== undefined } as const;
}

export const replayed = (): BrokerError =>
  new BrokerError("replayed", "This one-time token was presented before.", {
    where: "subject_token",
  });

function judgeToken(facts: ReserveFacts, { oneTime, idempotency, confirmation }: Reservation) {
  if (oneTime === null) return { kind: "fine", exists: false } as const;
  const row = facts.oneTime.get(oneTimeKey(oneTime));
  if (row === undefined) return { kind: "fine", exists: false } as const;
  return isUseOf(row, { idempotency, confirmation })
    ? ({ kind: "fine", exists: true } as const)
    : refused(replayed());
}

/** Whether the recorded use is by the very same request; one without a key is never repeated. */
export const isUseOf = (
  row: OneTimeFacts,
  { idempotency, confirmation }: Pick<TokenUse, "idempotency" | "confirmation">,
): boolean =>
  idempotency !== null &&
  row.key === idempotency.key &&
  row.scope_sha256 === idempotency.scopeSha256 &&
  row.body_sha256 === idempotency.bodySha256 &&
  row.confirmation === confirmation;

/** A backend that is not there, is disabled, changing or at another revision: load it again. */
function catalogIsCurrent(facts: ReserveFacts, reservation: Reservation): boolean {
  return (
    facts.catalogVersion === reservation.catalogVersion &&
    reservation.leases.every(
      (lease) => facts.openBackends.get(lease.backendId) === lease.backendRevision,
    )
  );
}

function judgeTask(facts: ReserveFacts, reservation: Reservation, mode: LockMode) {
  const id = standingTask(reservation);
  if (id === null) return { kind: "fine", task: null } as const;
  const what = reservation.task.kind === "existing" ? "task" : "parent task";
  const task = facts.tasks.get(id);
  if (task === undefined) {
    return refused(new BrokerError("not_found", `There is no such ${what}.`, { where: what }));
  }
  if (!task.open) return refused(taskEnded(what));
  const locked = [...task.ancestors, task.id].every((each) => facts.lockedTasks.has(each));
  if (locked) return { kind: "fine", task } as const;
  // Alone, a task that was open and is not locked can only have been refused by its lock.
  return mode === "batch" ? ({ kind: "alone" } as const) : refused(taskEnded(what));
}

export const taskEnded = (what: string): BrokerError =>
  new BrokerError("task_ended", `The ${what} is not active, or its end was requested.`, {
    where: what,
  });

function overLimit(
  facts: ReserveFacts,
  running: Map<string, number>,
  reservation: Reservation,
  workload: string,
): BrokerError | null {
  const { leases, limits, task } = reservation;
  if (leases.length === 0) return null;
  const taskUuid = uuidOfId(task.kind === "open" ? task.task.id : task.taskId);
  const asked: { name: string; what: string; count: number; most: number }[] = [
    { name: `task:${taskUuid}`, what: "task", count: leases.length, most: limits.perTask },
    {
      name: `workload:${workload}`,
      what: "workload",
      count: leases.length,
      most: limits.perWorkload,
    },
  ];
  for (const role of new Set(leases.map((lease) => lease.role))) {
    const count = leases.filter((lease) => lease.role === role).length;
    asked.push({ name: `role:${role}`, what: "role", count, most: limits.perRole });
  }
  const live = (name: string): number => (facts.live.get(name) ?? 0) + (running.get(name) ?? 0);
  const over = asked.find((each) => live(each.name) + each.count > each.most);
  if (over !== undefined) {
    const message = `The ${over.what} may have at most ${over.most} live leases.`;
    return new BrokerError("lease_limit", message, { where: over.what, retryAfterSeconds: 5 });
  }
  for (const each of asked) running.set(each.name, (running.get(each.name) ?? 0) + each.count);
  return null;
}
