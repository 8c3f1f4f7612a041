import type { Json } from "./brand.ts";
import type { BackendId, DecisionId, LeaseId, RoleName, TaskId } from "./ids.ts";
import type { Lease, LeaseState } from "./lease.ts";
import type { EventKind, LedgerEvent } from "./ledger.ts";
import type { Decision } from "./policy.ts";
import type { Task, TaskState } from "./task.ts";
import type { InstantMs } from "./time.ts";

/** Keyset pagination: `after` is the opaque `next` of the page before. */
export interface PageRequest {
  readonly limit: number;
  readonly after: string | null;
}
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

export interface LeaseFilter {
  readonly taskId?: TaskId;
  readonly workload?: string;
  /** Verified or claimed: the task says which. */
  readonly initiator?: string;
  readonly backendId?: BackendId;
  readonly role?: RoleName;
  readonly state?: LeaseState;
  readonly exposed?: boolean;
  readonly fingerprint?: string;
  readonly from?: InstantMs;
  readonly until?: InstantMs;
}
export interface TaskFilter {
  readonly workload?: string;
  readonly initiator?: string;
  readonly ref?: string;
  readonly state?: TaskState;
  readonly parentId?: TaskId;
  readonly from?: InstantMs;
  readonly until?: InstantMs;
}
export interface EventFilter {
  readonly taskId?: TaskId;
  readonly leaseId?: LeaseId;
  readonly kind?: EventKind;
  readonly from?: InstantMs;
  readonly until?: InstantMs;
}

/** Leases and tasks come newest first, events in the order in which they happened. */
export interface LedgerQueries {
  leases(filter: LeaseFilter, page: PageRequest): Promise<Page<Lease>>;
  tasks(filter: TaskFilter, page: PageRequest): Promise<Page<Task>>;
  events(filter: EventFilter, page: PageRequest): Promise<Page<LedgerEvent>>;
  decision(id: DecisionId): Promise<Decision | null>;
  /** The whole chain of one task and its descendants in one call; bounded, and says if cut. */
  taskChain(id: TaskId): Promise<TaskChain | null>;
  /** Counts for metrics and the operator: live leases by state, overdue, oldest due. */
  counts(): Promise<Readonly<Record<string, Json>>>;
}
export interface TaskChain {
  readonly task: Task;
  readonly descendants: readonly Task[];
  readonly decisions: readonly Decision[];
  readonly leases: readonly Lease[];
  readonly events: readonly LedgerEvent[];
  readonly truncated: boolean;
}
