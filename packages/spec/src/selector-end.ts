import type {
  BackendId,
  DecisionId,
  LeaseId,
  RoleName,
  SelectorEndId,
  TaskId,
  TrustRootName,
} from "./ids.ts";
import type { Lease, LeaseOutcome, LeaseState } from "./lease.ts";
import type { Page, PageRequest } from "./ledger-queries.ts";
import type { Actor } from "./task.ts";
import type { DurationSeconds, InstantMs } from "./time.ts";

/**
 * What an end is aimed at: all of what is given together, and at least one of it.
 *
 * Of leases: those that are held so. Of tasks: the active ones of that workload, initiator or
 * trust, the task itself and all below it; by backend or role, those that have a live lease there
 * or declared that they may draw one. What is below a task that is killed dies with it.
 */
export interface EndSelector {
  readonly workload?: string;
  /** The task and all below it. */
  readonly taskId?: TaskId;
  readonly backendId?: BackendId;
  readonly role?: RoleName;
  /** Verified or claimed: who kills may not care which. */
  readonly initiator?: string;
  /** It vouched for the workload, or for the initiator. */
  readonly trustRoot?: TrustRootName;
  /** Of SPIFFE IDs: `acme.test`. */
  readonly trustDomain?: string;
}

/** What of a selector is registered by somebody first: it can be known to be wrong. */
export type RegisteredNames = Pick<EndSelector, "backendId" | "role" | "trustRoot" | "trustDomain">;

/** `leases`: the credentials end, their tasks go on. `tasks`: the tasks are killed. */
export type EndTarget = "leases" | "tasks";

/**
 * An end by selector: durable before its first effect. `none_left`: the last look found nothing
 * that was not ending already. `still_appearing`: new ones were found until the time for looking
 * was over.
 */
export interface SelectorEnd {
  readonly id: SelectorEndId;
  readonly target: EndTarget;
  readonly selector: EndSelector;
  readonly actor: Actor;
  readonly reason: string;
  readonly requestedAt: InstantMs;
  /** Looked for new ones at least until then. */
  readonly lookUntil: InstantMs;
  readonly looks: number;
  readonly finishedAt: InstantMs | null;
  readonly result: SelectorEndResult | null;
}
export type SelectorEndResult = "none_left" | "still_appearing";

export interface EndRequestBySelector {
  readonly target: EndTarget;
  readonly selector: EndSelector;
  readonly actor: Actor;
  /** By which it may be asked for; null: policy was not asked. */
  readonly decisionId: DecisionId | null;
  readonly reason: string;
  /** How long to look for new ones after the request; 0: until a look finds none. */
  readonly lookSeconds: DurationSeconds;
  /** {@link EndPreview.digest}: refused as `conflict` when the set is another one by now. */
  readonly expectDigest: string | null;
}

/** What an end by selector would do now. */
export interface EndPreview {
  /** Tasks that would be killed; 0 for an end of leases. */
  readonly tasks: number;
  /** Leases that would end. */
  readonly leases: number;
  /** Live leases of the selection that are ending or stuck already. */
  readonly endingAlready: number;
  /** By workload, role and backend, the largest first, at most `limit`. */
  readonly groups: readonly {
    readonly workload: string | null;
    readonly role: RoleName | null;
    readonly backendId: BackendId;
    readonly leases: number;
  }[];
  /** Newest first, at most `limit` of each. */
  readonly taskIds: readonly TaskId[];
  readonly leaseIds: readonly LeaseId[];
  /**
   * Hex SHA-256 over the UUIDs of what would end (tasks, or leases), ascending, joined by commas:
   * the same set has the same digest.
   */
  readonly digest: string;
}

export interface MarkedMembers {
  /** How many members' ends this call requested. */
  readonly marked: number;
  /** Tasks among them: their ends are still to be applied. */
  readonly taskIds: readonly TaskId[];
  /** Where leases are due now. */
  readonly backendIds: readonly BackendId[];
  /** Members left to mark, counted up to a bound. */
  readonly pending: number;
}

/** What became of an end by selector, as of now. */
export interface SelectorEndReport {
  readonly end: SelectorEnd;
  readonly tasks: number;
  readonly leases: number;
  /** Of these, tasks or leases that came to be after the request. */
  readonly appeared: number;
  /** Their ends are not yet requested. */
  readonly pending: number;
  readonly states: readonly {
    readonly state: LeaseState;
    readonly outcome: LeaseOutcome | null;
    readonly leases: number;
  }[];
  readonly exposure: ExposureSummary;
  /** Newest first. */
  readonly page: Page<Lease>;
}

export interface ExposureSummary {
  /** Leases that might still work. */
  readonly leases: number;
  /** Of these, how many work until nobody knows when. */
  readonly unknown: number;
  /** The latest instant until which any of the others works; null for none. */
  readonly until: InstantMs | null;
}

/**
 * Ends by selector. B1. The request is durable before any effect, and so is what it found. B2. A
 * member is marked in the transaction that requests its end. B3. Bounded batches: no call holds
 * locks on more than its limit. B4. Any process can go on with what another began; two that do so
 * at once do no harm. B5. No policy is consulted. B6. A name is unknown that was never registered:
 * what is deleted is known, for its leases may live or be asked for.
 */
export interface SelectorEndLedger {
  /** Which of these are unknown. A trust domain is known by the roots that have or had it. */
  unknownNames(names: RegisteredNames): Promise<readonly (keyof RegisteredNames)[]>;
  preview(target: EndTarget, selector: EndSelector, limit: number): Promise<EndPreview>;
  /** Records the request and what is there now, in one transaction. Throws `conflict`. */
  request(request: EndRequestBySelector): Promise<SelectorEnd>;
  /**
   * Records what is there by now and was not known, with all that was being reserved when it was
   * called; returns how much of it is still to end. Throws `busy`: a reservation stays open.
   */
  look(id: SelectorEndId): Promise<number>;
  /**
   * Requests the ends of at most `limit` members. `skip` passes over leases that somebody works on,
   * `wait` waits for them. For tasks it is `TaskLedger.requestEnd`; `applyEnd` is the caller's.
   */
  mark(id: SelectorEndId, limit: number, locked: "skip" | "wait"): Promise<MarkedMembers>;
  /** The first result stands. */
  finish(id: SelectorEndId, result: SelectorEndResult): Promise<void>;
  /** Unfinished ones that nobody worked on for so long, oldest first. */
  abandoned(idleSeconds: DurationSeconds, limit: number): Promise<readonly SelectorEnd[]>;
  find(id: SelectorEndId): Promise<SelectorEnd | null>;
  /** Newest first. */
  list(page: PageRequest): Promise<Page<SelectorEnd>>;
  report(id: SelectorEndId, page: PageRequest): Promise<SelectorEndReport | null>;
  /** Members that might still work, at most `limit`. */
  liveMembers(id: SelectorEndId, limit: number): Promise<readonly Lease[]>;
}
