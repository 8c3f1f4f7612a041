import type { JsonObject } from "./brand.ts";
import type { RoleName, TaskId, TrustRootName } from "./ids.ts";
import type { Workload } from "./identity.ts";
import type { DurationSeconds, InstantMs } from "./time.ts";

export const TASK_STATES = [
  "active",
  "completed",
  "failed",
  "cancelled",
  "expired",
  "killed",
] as const;
export type TaskState = (typeof TASK_STATES)[number];
export type EndedTaskState = Exclude<TaskState, "active">;

/** One credential that the task declares it may draw. */
export interface CredentialRequest {
  readonly role: RoleName;
  readonly params: JsonObject;
  /** Null: as long as role and task allow. */
  readonly ttlSeconds: DurationSeconds | null;
  /** `now`: with the exchange that opens the task. `later`: by a later exchange under it. */
  readonly issue: "now" | "later";
}

/** The immutable description of a task, in normal form. Version 1 of the schema. */
export interface TaskDescriptor {
  readonly version: 1;
  /** Untrusted text: shown, recorded, never a fact for policy. */
  readonly goal: string;
  /** The client's own reference. */
  readonly ref: string | null;
  readonly deadlineSeconds: DurationSeconds;
  readonly idleTimeoutSeconds: DurationSeconds;
  /** As the client claims it; policy never sees it. */
  readonly claimedInitiator: string | null;
  /** `<backend>:<what>`, the data that the task is about. */
  readonly targets: readonly string[];
  readonly credentials: readonly CredentialRequest[];
  /** Set for a child task. */
  readonly parent: TaskId | null;
  /** Its tokens are to name its initiator alone. Absent: they say who acts. */
  readonly impersonate?: true;
}

export interface Task {
  readonly id: TaskId;
  readonly parentId: TaskId | null;
  readonly rootId: TaskId;
  /** Root first, without the task itself. */
  readonly ancestors: readonly TaskId[];
  readonly depth: number;
  readonly workload: Workload;
  readonly verifiedInitiator: string | null;
  /** Which trust root vouched for the initiator; null also for a task of an earlier version. */
  readonly initiatorTrustRoot: TrustRootName | null;
  readonly descriptor: TaskDescriptor;
  readonly state: TaskState;
  /** Whether an end of this task or of an ancestor has been requested. */
  readonly endRequested: boolean;
  /** Thumbprint that its task tokens are bound to, or null for bearer tokens. */
  readonly confirmation: string | null;
  readonly openedAt: InstantMs;
  readonly deadlineAt: InstantMs;
  readonly lastHeartbeatAt: InstantMs;
  /** Last fresh proof of identity, and how long it counts. */
  readonly identityProvenAt: InstantMs;
  readonly identityMaxAgeSeconds: DurationSeconds;
  readonly endedAt: InstantMs | null;
  readonly endReason: string | null;
}

/** Who caused a transition, for the ledger. */
export type Actor =
  | { readonly kind: "workload"; readonly name: string }
  | { readonly kind: "administrator"; readonly name: string }
  | { readonly kind: "system"; readonly name: "sweep" | "broker" | "worker" | "migrator" };

/** May a task go from one state to the other? `active` is left once and never entered again. */
export const canEndTask = (from: TaskState): boolean => from === "active";
