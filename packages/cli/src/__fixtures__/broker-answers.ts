import type { JsonObject } from "@mayfly/spec";
import type { Answer } from "./test-broker.ts";

export const NOW = "2026-11-20T22:03:00.000Z";
export const TOKEN = `mayfly_admin_${"t".repeat(43)}`;
export const LEASE = `lease_0199aabbccdd7eee8${"0".repeat(15)}`;
export const TASK = `task_0199aabbccdd7eee8${"0".repeat(15)}`;
export const CHILD = `task_0199aabbccdd7eee9${"0".repeat(15)}`;
export const DECISION = `dec_0199aabbccdd7eee8${"0".repeat(15)}`;

/** As `services/broker/src/http/views/json-views.ts` writes it. */
export const lease = (more: JsonObject = {}): JsonObject => ({
  id: LEASE,
  task: TASK,
  role: "orders-db/reader",
  backend: "orders-db",
  backend_type: "postgres",
  backend_revision: 1,
  workload: "spiffe://acme.test/agent/invoice-bot",
  decision: DECISION,
  state: "active",
  outcome: null,
  exposure: { kind: "until", until: "2026-11-20T22:15:00.000Z", reason: "live" },
  external_name: "mf_k3x9abcd_0199",
  grant: {},
  fingerprint: "00ff",
  reserved_at: "2026-11-20T22:00:00.000Z",
  activated_at: "2026-11-20T22:00:00.010Z",
  expires_at: "2026-11-20T22:15:00.000Z",
  end_requested_at: null,
  end_reason: null,
  ended_at: null,
  attempts: 0,
  next_attempt_at: null,
  last_error: null,
  looked: null,
  ...more,
});
/** The counts of a ledger that is swept. */
export const counts = (more: JsonObject = {}): JsonObject => ({
  leases_reserved: 0,
  leases_active: 2,
  leases_ending: 0,
  leases_stuck: 0,
  leases_overdue: 0,
  oldest_due_seconds: 0,
  tasks_active: 1,
  task_ends_open: 0,
  events_pending: 0,
  log_entries: 12,
  rows_in_default_partitions: 0,
  sweep_age_seconds: 4,
  backends: [{ backend: "orders-db", leases_stuck: 0, listing_age_seconds: 31 }],
  ...more,
});
export const task = (more: JsonObject = {}): JsonObject => ({
  id: TASK,
  state: "active",
  end_requested: false,
  goal: "Reconcile the October invoices",
  ref: "JIRA-4711",
  parent: null,
  root: TASK,
  depth: 0,
  workload: "spiffe://acme.test/agent/invoice-bot",
  initiator: { name: "alice@acme.test", basis: "verified" },
  targets: [],
  credentials: [],
  opened_at: "2026-11-20T22:00:00.000Z",
  deadline: "2026-11-20T22:15:00.000Z",
  idle_timeout_seconds: 60,
  last_heartbeat_at: NOW,
  ended_at: null,
  end_reason: null,
  ...more,
});
export const decision: JsonObject = {
  id: DECISION,
  task: TASK,
  effect: "deny",
  why: "forbidden",
  determining_policies: ["no-prod-writes"],
  explanation: "Policy 'no-prod-writes' forbids orders-db/writer.",
  policy_digest: "9f2c".repeat(16),
  request: { action: "issue", role: { name: "orders-db/writer" } },
  decided_at: "2026-11-20T22:00:00.000Z",
};
export const problem = (status: number, code: string, more: JsonObject = {}): Answer => ({
  status,
  body: {
    type: `https://mayfly.dev/errors#${code}`,
    title: "There is no such object, or the caller may not see it.",
    status,
    detail: "There is no lease that this caller may see.",
    code,
    where: "id",
    todo: "Check the id.",
    trace: "abc123",
    ...more,
  },
});
