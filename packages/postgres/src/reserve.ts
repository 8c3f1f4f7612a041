import {
  BrokerError,
  unreachable,
  type LeaseHandle,
  type Reservation,
  type ReserveResult,
  type Task,
} from "@mayfly/spec";
import {
  COMMITTER_LIMITS,
  createCommitter,
  RESERVE_BESIDES_MAX,
  type BatchResult,
  type Committer,
  type Stage,
} from "./committer.ts";
import { faultKind, faultOf } from "./faults.ts";
import { judgeReservation, replayed, type Accepted } from "./judge-reservation.ts";
import { outageSoFar } from "./ledger-clock.ts";
import { LiveCounts, roleCount, workloadCount } from "./live-counts.ts";
import type { LockMode } from "./lock-task-paths.ts";
import { limitLockWait } from "./lock-wait.ts";
import { countAhead, idempotencyKey, oneTimeKey, readReserveFacts } from "./reserve-facts.ts";
import { commitOpenings, openingsOf } from "./reserve-openings.ts";
import { claimTokensAndKeys, taskUuidOf, commitReservations } from "./reserve-writes.ts";
import type { RetryPorts } from "./retry.ts";
import type { Sql } from "./sql.ts";
import { taskOfRow, type TaskRow } from "./task-row.ts";
import { transact, type OpenTransaction } from "./transact.ts";

type Outcome = BatchResult<ReserveResult>;

/**
 * Step 6 of the exchange, as a group commit: see `createCommitter`. What hardly ever is otherwise
 * is taken for granted in one statement; what that does not write is judged by what is read.
 */
export const createReserve = (
  ports: RetryPorts,
  sql: Sql,
  sweepIntervalSeconds: number,
): Committer<Reservation, ReserveResult> => {
  const counts = new LiveCounts(ports.clock);
  const openAtOnce = createOpening(ports, sql, { sweepIntervalSeconds, counts });
  const stage: Stage<Reservation, ReserveResult> = {
    name: "reservations",
    run: async (requests, mode, signal) => {
      countAhead(sql, requests, counts);
      const opened = await openAtOnce(requests, signal);
      if (opened !== null) return opened;
      return transact(sql, limitLockWait(mode), async (transaction) => {
        signal.throwIfAborted();
        return reserveBatch(transaction, requests, mode, { sweepIntervalSeconds, counts });
      });
    },
    keys: ({ idempotency, oneTime }) => [
      ...(idempotency === null ? [] : [`key ${idempotencyKey(idempotency)}`]),
      ...(oneTime === null ? [] : [`token ${oneTimeKey(oneTime)}`]),
    ],
    size: ({ leases }) => Math.max(1, leases.length),
  };
  return createCommitter(ports, stage, { ...COMMITTER_LIMITS, besidesMax: RESERVE_BESIDES_MAX });
};

interface Standing {
  readonly sweepIntervalSeconds: number;
  readonly counts: LiveCounts;
}

/** After a lock that was waited for: a transaction waits more briefly than a statement alone. */
const READ_FIRST_MS = 10_000;

/** Null: what the batch takes for granted is not so, or not to be had, and nothing was written. */
function createOpening(
  { clock }: Pick<RetryPorts, "clock">,
  sql: Sql,
  { sweepIntervalSeconds, counts }: Standing,
) {
  let readFirstUntilMs = 0;
  return async (
    batch: readonly Reservation[],
    signal: AbortSignal,
  ): Promise<readonly Outcome[] | null> => {
    if (clock.monotonicMs() < readFirstUntilMs) return null;
    const openings = openingsOf(batch, counts);
    if (openings === null) return null;
    signal.throwIfAborted();
    try {
      const opened = await commitOpenings(sql, openings, outageSoFar(sql, sweepIntervalSeconds));
      return opened === null ? null : outcomesOf(openings.accepted, opened, counts);
    } catch (error) {
      const fault = faultOf(error);
      if (fault !== null && faultKind(fault) === "locked") {
        readFirstUntilMs = clock.monotonicMs() + READ_FIRST_MS;
      }
      throw error;
    }
  };
}

/**
 * Two round trips for any number of reservations, or three: BEGIN, locks and facts; keys, if any
 * has one; rows and COMMIT.
 * A reservation with an unknown outcome of COMMIT has minted nothing; if it was committed, it is
 * recovered at its `settleBy`.
 */
async function reserveBatch(
  transaction: OpenTransaction,
  batch: readonly Reservation[],
  mode: LockMode,
  { sweepIntervalSeconds, counts }: Standing,
): Promise<readonly Outcome[]> {
  const { sql } = transaction;
  const facts = await readReserveFacts(sql, batch, mode, counts);
  const running = new Map<string, number>();
  const judged = batch.map((each) => judgeReservation(facts, running, each, mode));
  const accepted = judged.filter((each) => each.kind === "accepted");
  const claimed = await claimTokensAndKeys(sql, accepted);
  const written = claimed.filter((each) => each.kind === "accepted");
  const rows =
    written.length > 0 ? await commitReservations(transaction, written, sweepIntervalSeconds) : [];
  const outcomes = outcomesOf(written, rows, counts);
  const granted = new Map(written.map((each, index) => [each, outcomes[index]]));
  return judged.map((each): Outcome => {
    switch (each.kind) {
      case "alone":
      case "refused":
        return each;
      case "stale_catalog":
      case "stale_idempotency":
        return { kind: "done", result: { kind: each.kind } };
      case "accepted":
        return granted.get(each) ?? raceLost(each.reservation);
      default:
        return unreachable(each);
    }
  });
}

/** Of reservations that are durable, with the tasks that they are under. */
function outcomesOf(
  written: readonly Accepted[],
  rows: readonly TaskRow[],
  counts: LiveCounts,
): readonly Outcome[] {
  const tasks = new Map(rows.map((row) => [row.id, taskOfRow(row)]));
  for (const { reservation, workload } of written) {
    for (const { role } of reservation.leases) counts.granted(roleCount(role), 1);
    counts.granted(workloadCount(workload), reservation.leases.length);
  }
  return written.map((each) => reserved(each, tasks));
}

/** With a key it may be the same request, which then reads what the winner wrote. */
function raceLost({ idempotency }: Reservation): Outcome {
  return idempotency === null
    ? { kind: "refused", error: replayed() }
    : { kind: "done", result: { kind: "stale_idempotency" } };
}

function reserved({ reservation, generation }: Accepted, tasks: Map<string, Task>): Outcome {
  const task = tasks.get(taskUuidOf(reservation));
  if (task === undefined) {
    const error = new BrokerError("internal", "The ledger lost the task of a reservation.");
    return { kind: "refused", error };
  }
  const leases = reservation.leases.map(({ id }): LeaseHandle<"reserved"> => ({
    id,
    state: "reserved",
    version: 1,
  }));
  return { kind: "done", result: { kind: "reserved", task, leases, generation } };
}
