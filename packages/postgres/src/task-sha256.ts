import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import type { TaskDescriptor, Workload } from "@mayfly/spec";

/** What a row of `mayfly.tasks` says and is written once. */
export interface OpenedRow {
  readonly id: string;
  readonly parent_id: string | null;
  readonly root_id: string;
  readonly ancestors: readonly string[];
  readonly depth: number;
  readonly workload: Workload;
  readonly workload_name: string;
  readonly verified_initiator: string | null;
  readonly claimed_initiator: string | null;
  readonly ref: string | null;
  readonly descriptor: TaskDescriptor;
  readonly confirmation: string | null;
  /** Milliseconds since the epoch. */
  readonly deadline_ms: number;
}

/**
 * Hex SHA-256 of the row's canonical JSON (RFC 8785). It stands in `task.opened`, so that the log
 * vouches for the row too.
 */
export function taskSha256(row: OpenedRow): string {
  const text = canonicalize({
    id: row.id,
    parent_id: row.parent_id,
    root_id: row.root_id,
    ancestors: row.ancestors,
    depth: row.depth,
    workload: row.workload,
    workload_name: row.workload_name,
    verified_initiator: row.verified_initiator,
    claimed_initiator: row.claimed_initiator,
    ref: row.ref,
    descriptor: row.descriptor,
    confirmation: row.confirmation,
    deadline_ms: row.deadline_ms,
  });
  if (text === undefined) throw new Error("a task has no canonical form");
  return createHash("sha256").update(text, "utf8").digest("hex");
}
