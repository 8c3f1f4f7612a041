import { z } from "zod";
import { EVENT_KINDS, LEASE_OUTCOMES, LEASE_STATES, TASK_STATES } from "@mayfly/spec";
import { countShape, idShape, instantShape, nameShape, objectShape, pageShape } from "./shapes.ts";

/** What the API answers about tasks, leases and the ledger; `views/` is checked against it. */
export const enforcedBySchema = z.enum(["upstream", "login_only", "broker"]).meta({
  description:
    "Who enforces the expiry: the backend itself, the backend at logins alone, or the broker's " +
    "revocation.",
});
export const revocationSchema = z.enum(["none", "immediate", "propagating"]);

const exposureReason = z.enum([
  "unsettled",
  "live",
  "propagating",
  "expires_upstream",
  "gateway_cut",
  "stuck",
]);
export const exposureAnswer = z
  .discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("none") }),
    z.strictObject({ kind: z.literal("until"), until: instantShape, reason: exposureReason }),
    z.strictObject({ kind: z.literal("unknown"), reason: exposureReason }),
  ])
  .meta({ id: "Exposure", description: "What could still be done with a lease's credential." });

export const taskAnswer = z
  .strictObject({
    id: idShape("task"),
    state: z.enum(TASK_STATES),
    end_requested: z.boolean(),
    goal: z.string(),
    ref: z.string().nullable(),
    parent: idShape("task").nullable(),
    root: idShape("task"),
    depth: countShape,
    workload: z.string(),
    initiator: z
      .strictObject({ name: z.string(), basis: z.enum(["verified", "claimed"]) })
      .nullable(),
    impersonates: z.boolean().meta({
      description: "Whether its tokens name the initiator alone; the workload is who acts even so.",
    }),
    targets: z.array(z.string()),
    credentials: z.array(
      z.strictObject({
        role: nameShape("role"),
        params: objectShape,
        ttl_seconds: z.number().nullable(),
        issue: z.enum(["now", "later"]),
      }),
    ),
    opened_at: instantShape,
    deadline: instantShape,
    idle_timeout_seconds: z.number(),
    last_heartbeat_at: instantShape,
    ended_at: instantShape.nullable(),
    end_reason: z.string().nullable(),
  })
  .meta({ id: "Task" });

export const leaseAnswer = z
  .strictObject({
    id: idShape("lease"),
    task: idShape("task").nullable(),
    role: nameShape("role").nullable(),
    backend: nameShape("backend"),
    backend_type: z.string(),
    backend_revision: countShape,
    workload: z.string().nullable(),
    decision: idShape("decision").nullable(),
    state: z.enum(LEASE_STATES),
    outcome: z.enum(LEASE_OUTCOMES).nullable(),
    exposure: exposureAnswer,
    external_name: z.string(),
    grant: objectShape,
    fingerprint: z.string().nullable(),
    reserved_at: instantShape,
    activated_at: instantShape.nullable(),
    expires_at: instantShape,
    end_requested_at: instantShape.nullable(),
    end_reason: z.string().nullable(),
    ended_at: instantShape.nullable(),
    attempts: countShape,
    next_attempt_at: instantShape.nullable(),
    last_error: z.string().nullable(),
    looked: objectShape.nullable().meta({
      description: "What the last probe or recovery looked at.",
    }),
  })
  .meta({ id: "Lease" });

export const decisionAnswer = z
  .strictObject({
    id: idShape("decision"),
    task: idShape("task").nullable(),
    effect: z.enum(["permit", "deny"]),
    why: z.enum(["no_permit", "forbidden", "evaluation_error", "invalid_request"]).nullable(),
    determining_policies: z.array(z.string()),
    explanation: z.string(),
    policy_digest: z.string(),
    request: objectShape,
    decided_at: instantShape,
  })
  .meta({ id: "Decision" });

export const eventAnswer = z
  .strictObject({
    id: idShape("event"),
    kind: z.enum(EVENT_KINDS),
    at: instantShape,
    actor: z.strictObject({
      kind: z.enum(["workload", "administrator", "system"]),
      name: z.string(),
    }),
    task: idShape("task").nullable(),
    lease: idShape("lease").nullable(),
    decision: idShape("decision").nullable(),
    data: objectShape,
    log_index: countShape.nullable().meta({
      description: "The event's place in the log; null until it has one.",
    }),
  })
  .meta({ id: "Event" });

export const tasksAnswer = pageShape(taskAnswer);
export const leasesAnswer = pageShape(leaseAnswer);
export const eventsAnswer = pageShape(eventAnswer);

export const chainAnswer = z.strictObject({
  task: taskAnswer,
  descendants: z.array(taskAnswer),
  decisions: z.array(decisionAnswer),
  leases: z.array(leaseAnswer),
  events: z.array(eventAnswer),
  truncated: z.boolean().meta({ description: "Whether there is more than one answer holds." }),
});
export const heartbeatAnswer = z.strictObject({
  task: taskAnswer,
  access_token: z.string(),
  token_type: z.enum(["Bearer", "DPoP"]),
  expires_in: countShape,
});
export const endedTaskAnswer = z.strictObject({ task: taskAnswer, leases: z.array(leaseAnswer) });

export const countsAnswer = z
  .strictObject({
    leases_reserved: countShape,
    leases_active: countShape,
    leases_ending: countShape,
    leases_stuck: countShape,
    leases_overdue: countShape,
    oldest_due_seconds: z.number().min(0),
    tasks_active: countShape,
    task_ends_open: countShape,
    events_pending: countShape,
    oldest_pending_seconds: z.number().min(0),
    log_entries: countShape,
    rows_in_default_partitions: countShape,
    sweep_age_seconds: z.number().nullable(),
    backends: z.array(
      z.strictObject({
        backend: nameShape("backend"),
        leases_stuck: countShape,
        listing_age_seconds: z.number().nullable(),
      }),
    ),
  })
  .meta({ id: "LedgerCounts" });
export const verifyAnswer = z.discriminatedUnion("ok", [
  z.strictObject({
    ok: z.literal(true),
    from: countShape,
    entries: countShape,
    head_sha256: z.string(),
    pending: countShape,
    oldest_pending_seconds: z.number().nullable(),
    warning: z.string().nullable(),
  }),
  z.strictObject({ ok: z.literal(false), log_index: countShape, problem: z.string() }),
]);
