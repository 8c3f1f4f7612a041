import type { JsonObject } from "./brand.ts";
import type { Clock, InstantMs } from "./time.ts";
import type { TaskId } from "./ids.ts";
import type { ProvenKey } from "./possession.ts";
import type { Secret } from "./secret.ts";

/** Handed to every effectful call: there is no ambient clock, logger, fetch or cancellation. */
export interface CallContext {
  readonly clock: Clock;
  /** Aborted at the caller's deadline or at shutdown. An aborted call has effect `"unknown"`. */
  readonly signal: AbortSignal;
  readonly traceId: string;
  /** Who called over the network, as far as trusted proxies say; not there for our own work. */
  readonly clientAddress?: string;
  /** The key whose possession the request proved; not there for a bearer's. */
  readonly provenKey?: ProvenKey;
}

export interface IssueContext extends CallContext {
  /** For whose task it is: a label for what is made, no authority. */
  readonly taskId: TaskId;
  /**
   * Nothing may be sent to the backend after this instant, tested again where a batch or a pool
   * slot is flushed; where the backend can test a deadline, it travels in the call.
   */
  readonly issueBy: InstantMs;
  /**
   * Makes a handle durable before the next effect, where an issue has several steps. After it
   * resolves, a crash is cleaned up by that handle.
   */
  checkpoint(handle: Secret): Promise<void>;
}

export interface RecoverContext extends CallContext {
  /**
   * How long ago, by the ledger's clock, the last instant was at which the lost `issue` could take
   * effect by what its type declares. Where no tombstone can be left upstream, a quarantine is
   * counted from here: it is over when this is more than `BackendHost.quarantineSeconds`.
   */
  readonly settledForSeconds: number;
  /**
   * Makes durable that something of the lease is there, with what was looked at: before it is
   * destroyed, so that a call which is cut off leaves no lease that ends as `absent`. Nothing is
   * destroyed where this rejects.
   */
  readonly found: (looked: JsonObject) => Promise<void>;
}

/**
 * Structured log: the message is a constant, the data are fields, and a secret is neither.
 * `child` binds fields such as the trace id.
 */
export interface Log {
  debug(message: string, fields?: JsonObject): void;
  info(message: string, fields?: JsonObject): void;
  warn(message: string, fields?: JsonObject, error?: unknown): void;
  error(message: string, fields?: JsonObject, error?: unknown): void;
  child(fields: JsonObject): Log;
}

/**
 * Named places in the code between two durable steps, where a test may kill or freeze the process.
 * Inert (a call that returns) unless the process was configured otherwise.
 */
export interface FailPoints {
  reached(point: FailPoint): Promise<void>;
}
export const FAIL_POINTS = [
  "reserve.before",
  "reserve.after",
  "budget.drawn",
  "slot.taken",
  "issue.before",
  "issue.after",
  "activate.after",
  "schedule.after",
  "renew.recorded",
  "renew.after",
  "end.requested",
  "end.marked",
  "selector_end.requested",
  "selector_end.marked",
  "revoke.before",
  "revoke.after",
  "probe.after",
  "settle.after",
  "recover.before",
  "recover.after",
  "migrate.applied",
  "migrate.ledger",
  "migrate.queue",
] as const;
export type FailPoint = (typeof FAIL_POINTS)[number];
