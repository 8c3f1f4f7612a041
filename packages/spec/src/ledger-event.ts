import type { JsonObject } from "./brand.ts";
import type { DecisionId, EventId, LeaseId, TaskId } from "./ids.ts";
import type { Actor } from "./task.ts";
import type { InstantMs } from "./time.ts";

export const EVENT_KINDS = [
  "task.opened",
  "task.heartbeat_proven",
  "task.end_requested",
  "task.ended",
  "decision.permitted",
  "decision.denied",
  "lease.reserved",
  "lease.slot_taken",
  "lease.activated",
  "lease.withheld",
  "lease.abandoned",
  "lease.renewed",
  "lease.ending",
  "lease.recovering",
  "lease.retried",
  "lease.stuck",
  "lease.waiting",
  "lease.ended",
  "lease.resurfaced",
  "backend.registered",
  "backend.updated",
  "backend.enabled",
  "backend.disabled",
  "backend.deleted",
  "role.put",
  "role.enabled",
  "role.disabled",
  "role.deleted",
  "trust.put",
  "trust.enabled",
  "trust.disabled",
  "trust.deleted",
  "resource_server.put",
  "resource_server.enabled",
  "resource_server.disabled",
  "resource_server.deleted",
  "policies.activated",
  "signing_key.created",
  "signing_key.retired",
  "admin_token.created",
  "admin_token.replaced",
  "selector_end.requested",
  "selector_end.finished",
  "sealing.resealed",
  "ledger.cut",
  "ledger.dropped",
  "ledger.salted",
  "ledger.erased",
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

export interface LedgerEvent {
  readonly id: EventId;
  readonly kind: EventKind;
  readonly at: InstantMs;
  readonly actor: Actor;
  readonly taskId: TaskId | null;
  readonly leaseId: LeaseId | null;
  readonly decisionId: DecisionId | null;
  readonly data: JsonObject;
  /** Null until the sequencer reached it. */
  readonly logIndex: number | null;
}

/** Appends committed events to the log, in one order, with a hash chain. One runs at a time. */
export interface LogSequencer {
  /** Returns how many it appended, at most `limit`. */
  append(limit: number): Promise<number>;
  /**
   * Counts what at most `limit` further entries of the log say of the use of policies; returns how
   * many it went through. One runs at a time, and each entry counts once.
   */
  countPolicyUse(limit: number): Promise<number>;
  /**
   * Recomputes leaf and chain hashes from the events, from log index `from` on (0: all), and finds
   * any entry altered, missing, repeated or out of order.
   */
  verify(from: number): Promise<LogVerification>;
}
export type LogVerification =
  | {
      readonly ok: true;
      /** The first entry that was verified: where the log begins since old months left it. */
      readonly from: number;
      readonly entries: number;
      readonly headSha256: string;
      /** Events not yet sequenced. */
      readonly pending: number;
      /** How long the oldest of them has waited, in seconds; null: none waits. */
      readonly oldestPendingSeconds: number | null;
      /** The chain holds, and yet something is wrong: the log stands still. */
      readonly warning: string | null;
    }
  | { readonly ok: false; readonly logIndex: number; readonly problem: string };
