import type { BackendId, DecisionId, LeaseId, RoleName, TaskId } from "./ids.ts";
import type { Lease, LeaseState } from "./lease.ts";
import type { EventKind, LedgerEvent } from "./ledger-event.ts";
import type { Decision } from "./policy.ts";
import type { SecurityQueries } from "./security-queries.ts";
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
export interface LedgerQueries extends SecurityQueries {
  leases(filter: LeaseFilter, page: PageRequest): Promise<Page<Lease>>;
  tasks(filter: TaskFilter, page: PageRequest): Promise<Page<Task>>;
  events(filter: EventFilter, page: PageRequest): Promise<Page<LedgerEvent>>;
  decision(id: DecisionId): Promise<Decision | null>;
  /** The whole chain of one task and its descendants in one call; bounded, and says if cut. */
  taskChain(id: TaskId): Promise<TaskChain | null>;
  counts(): Promise<LedgerCounts>;
}
/** For metrics and the operator; ages by the ledger's clock, in seconds. */
export interface LedgerCounts {
  readonly leasesReserved: number;
  readonly leasesActive: number;
  readonly leasesEnding: number;
  readonly leasesStuck: number;
  /** Due, and not yet done. */
  readonly leasesOverdue: number;
  /** How long the longest overdue one has been due; 0 for none. */
  readonly oldestDueSeconds: number;
  readonly tasksActive: number;
  /** Ends that were requested and not yet applied. */
  readonly taskEndsOpen: number;
  /** Not yet in the log. */
  readonly eventsPending: number;
  /** Age of the oldest event that is not yet in the log; 0 for none. */
  readonly oldestPendingSeconds: number;
  readonly logEntries: number;
  /** Rows that found no partition of their own: the alarm of the upkeep. */
  readonly rowsInDefaultPartitions: number;
  /** Since a sweep over the ledger's rows finished; null: never. */
  readonly sweepAgeSeconds: number | null;
  /** Registered ones by id, and others that have a lease which has not ended. */
  readonly backends: readonly {
    readonly id: BackendId;
    readonly leasesReserved: number;
    readonly leasesActive: number;
    readonly leasesEnding: number;
    readonly leasesStuck: number;
    /** Since a listing of it finished; null: never. */
    readonly listingAgeSeconds: number | null;
  }[];
}
export interface TaskChain {
  readonly task: Task;
  readonly descendants: readonly Task[];
  readonly decisions: readonly Decision[];
  readonly leases: readonly Lease[];
  readonly events: readonly LedgerEvent[];
  readonly truncated: boolean;
}
