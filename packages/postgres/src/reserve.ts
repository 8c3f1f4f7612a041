import {
  BrokerError,
  unreachable,
  type LeaseHandle,
  type Reservation,
  type ReserveResult,
  type Task,
} from "@mayfly/spec";
import { createCommitter, type BatchResult, type Committer } from "./committer.ts";
import { judgeReservation, replayed, type Accepted } from "./judge-reservation.ts";
import { LiveRoles } from "./live-roles.ts";
import type { LockMode } from "./lock-task-paths.ts";
import { limitLockWait } from "./lock-wait.ts";
import { idempotencyKey, oneTimeKey, readReserveFacts } from "./reserve-facts.ts";
import { claimTokensAndKeys, taskUuidOf, commitReservations } from "./reserve-writes.ts";
import type { RetryPorts } from "./retry.ts";
import type { Sql } from "./sql.ts";
import { taskOfRow } from "./task-row.ts";
import { transact, type OpenTransaction } from "./transact.ts";

type Outcome = BatchResult<ReserveResult>;

/** Step 6 of the exchange, as a group commit: see `createCommitter`. */
export const createReserve = (
  ports: RetryPorts,
  sql: Sql,
  sweepIntervalSeconds: number,
): Committer<Reservation, ReserveResult> => {
  const liveRoles = new LiveRoles(ports.clock);
  return createCommitter(ports, {
    name: "reservations",
    run: (requests, mode, signal) =>
      transact(sql, limitLockWait(mode), async (transaction) => {
        signal.throwIfAborted();
        return reserveBatch(transaction, requests, mode, { sweepIntervalSeconds, liveRoles });
      }),
    keys: ({ idempotency, oneTime }) => [
      ...(idempotency === null ? [] : [`key ${idempotencyKey(idempotency)}`]),
      ...(oneTime === null ? [] : [`token ${oneTimeKey(oneTime)}`]),
    ],
  });
};

interface Standing {
  readonly sweepIntervalSeconds: number;
  readonly liveRoles: LiveRoles;
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
  { sweepIntervalSeconds, liveRoles }: Standing,
): Promise<readonly Outcome[]> {
  const { sql } = transaction;
  const facts = await readReserveFacts(sql, batch, mode, liveRoles);
  const running = new Map<string, number>();
  const judged = batch.map((each) => judgeReservation(facts, running, each, mode));
  const accepted = judged.filter((each) => each.kind === "accepted");
  const claimed = await claimTokensAndKeys(sql, accepted);
  const written = claimed.filter((each) => each.kind === "accepted");
  const rows =
    written.length > 0 ? await commitReservations(transaction, written, sweepIntervalSeconds) : [];
  const tasks = new Map(rows.map((row) => [row.id, taskOfRow(row)]));
  const granted = new Set(written);
  for (const { reservation } of written) {
    for (const { role } of reservation.leases) liveRoles.granted(role, 1);
  }
  return judged.map((each): Outcome => {
    switch (each.kind) {
      case "alone":
      case "refused":
        return each;
      case "stale_catalog":
      case "stale_idempotency":
        return { kind: "done", result: { kind: each.kind } };
      case "accepted":
        return granted.has(each) ? reserved(each, tasks) : raceLost(each.reservation);
      default:
        return unreachable(each);
    }
  });
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
