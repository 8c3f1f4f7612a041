import {
  bigint,
  boolean,
  customType,
  doublePrecision,
  integer,
  jsonb,
  pgSchema,
  smallint,
  text,
  uuid,
} from "drizzle-orm/pg-core";
import type {
  Actor,
  CatalogSnapshot,
  EventKind,
  Exposure,
  InstantMs,
  IssuePlan,
  JsonObject,
  LeaseOutcome,
  LeaseState,
  TaskDescriptor,
  TaskState,
  ResourceServer,
  TrustRoot,
  TrustRootName,
  Verdict,
  Workload,
} from "@mayfly/spec";
import type { StoredRole } from "./catalog-roles.ts";
import { parseInstant } from "./sql.ts";

/**
 * The tables as `migrations/` makes them, for the queries that are composed of parts. Statements of
 * the hot path are written out instead. A test compares this file with the database.
 */
const mayfly = pgSchema("mayfly");

const instant = customType<{ data: InstantMs; driverData: string }>({
  dataType: () => "timestamp with time zone",
  fromDriver: parseInstant,
  toDriver: (at) => new Date(at).toISOString(),
});
const bytes = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => "bytea",
});

export const tasks = mayfly.table("tasks", {
  id: uuid("id").primaryKey(),
  parent_id: uuid("parent_id"),
  root_id: uuid("root_id").notNull(),
  ancestors: uuid("ancestors").array().notNull(),
  depth: integer("depth").notNull(),
  workload: jsonb("workload").$type<Workload>().notNull(),
  workload_name: text("workload_name").notNull(),
  verified_initiator: text("verified_initiator"),
  verified_initiator_trust_root: text("verified_initiator_trust_root").$type<TrustRootName>(),
  claimed_initiator: text("claimed_initiator"),
  ref: text("ref"),
  descriptor: jsonb("descriptor").$type<TaskDescriptor>().notNull(),
  confirmation: text("confirmation"),
  state: text("state").$type<TaskState>().notNull(),
  opened_at: instant("opened_at").notNull(),
  deadline_at: instant("deadline_at").notNull(),
  idle_timeout_seconds: doublePrecision("idle_timeout_seconds").notNull(),
  last_heartbeat_at: instant("last_heartbeat_at").notNull(),
  heartbeat_outage_seconds: doublePrecision("heartbeat_outage_seconds").notNull(),
  identity_proven_at: instant("identity_proven_at").notNull(),
  identity_max_age_seconds: doublePrecision("identity_max_age_seconds").notNull(),
  ended_at: instant("ended_at"),
  end_reason: text("end_reason"),
  erased_by: uuid("erased_by"),
});

export const taskEndRequests = mayfly.table("task_end_requests", {
  task_id: uuid("task_id").primaryKey(),
  state: text("state").$type<TaskState>().notNull(),
  actor: jsonb("actor").$type<Actor>().notNull(),
  reason: text("reason").notNull(),
  requested_at: instant("requested_at").notNull(),
  applied_at: instant("applied_at"),
  erased_by: uuid("erased_by"),
});

export const decisions = mayfly.table("decisions", {
  id: uuid("id").primaryKey(),
  task_id: uuid("task_id"),
  workload: text("workload").notNull(),
  role: text("role"),
  effect: text("effect").$type<Verdict["effect"]>().notNull(),
  request: jsonb("request").$type<JsonObject>().notNull(),
  verdict: jsonb("verdict").$type<Verdict>().notNull(),
  policy_digest: text("policy_digest").notNull(),
  decided_at: instant("decided_at").notNull(),
  recorded_at: instant("recorded_at").notNull(),
  erased_by: uuid("erased_by"),
});

export const leases = mayfly.table("leases", {
  id: uuid("id").primaryKey(),
  task_id: uuid("task_id"),
  workload: text("workload"),
  role: text("role"),
  decision_id: uuid("decision_id"),
  backend_id: text("backend_id").notNull(),
  backend_type: text("backend_type").notNull(),
  backend_revision: integer("backend_revision").notNull(),
  plan: jsonb("plan").$type<IssuePlan>().notNull(),
  idempotency_scope: text("idempotency_scope"),
  idempotency_key: text("idempotency_key"),
  generation: integer("generation").notNull(),
  state: text("state").$type<LeaseState>().notNull(),
  version: integer("version").notNull(),
  outcome: text("outcome").$type<LeaseOutcome>(),
  fingerprint: text("fingerprint"),
  sealed_handle: bytes("sealed_handle"),
  reserved_at: instant("reserved_at").notNull(),
  issue_by: instant("issue_by").notNull(),
  settle_by: instant("settle_by").notNull(),
  activated_at: instant("activated_at"),
  expires_at: instant("expires_at").notNull(),
  end_requested_at: instant("end_requested_at"),
  end_reason: text("end_reason"),
  ended_at: instant("ended_at"),
  due_at: instant("due_at").notNull(),
  work: text("work").$type<"revoke" | "recover">().notNull(),
  claimed_until: instant("claimed_until"),
  claim_token: uuid("claim_token"),
  attempts: integer("attempts").notNull(),
  last_error: text("last_error"),
  looked: jsonb("looked").$type<JsonObject>(),
  exposure: jsonb("exposure").$type<Exposure>(),
  erased_by: uuid("erased_by"),
});

export const events = mayfly.table("events", {
  id: uuid("id").primaryKey(),
  kind: text("kind").$type<EventKind>().notNull(),
  at: instant("at").notNull(),
  actor: jsonb("actor").$type<Actor>().notNull(),
  task_id: uuid("task_id"),
  lease_id: uuid("lease_id"),
  decision_id: uuid("decision_id"),
  data: jsonb("data").$type<JsonObject>().notNull(),
  salt: bytes("salt"),
  erased_by: uuid("erased_by"),
});

export const logEntries = mayfly.table("log_entries", {
  log_index: bigint("log_index", { mode: "number" }).primaryKey(),
  event_id: uuid("event_id").notNull(),
  leaf_hash: bytes("leaf_hash").notNull(),
  chain_hash: bytes("chain_hash").notNull(),
  leaf_version: smallint("leaf_version").notNull(),
});

export const catalogVersion = mayfly.table("catalog_version", {
  singleton: boolean("singleton").primaryKey(),
  version: bigint("version", { mode: "number" }).notNull(),
});

export const backends = mayfly.table("backends", {
  id: text("id").primaryKey(),
  type: text("type").notNull(),
  revision: integer("revision").notNull(),
  enabled: boolean("enabled").notNull(),
  upstream_identity: text("upstream_identity").notNull(),
  updated_at: instant("updated_at").notNull(),
  deleted_at: instant("deleted_at"),
  closing_until: instant("closing_until"),
  last_check: jsonb("last_check").$type<JsonObject>(),
});

export const backendRevisions = mayfly.table("backend_revisions", {
  backend_id: text("backend_id").notNull(),
  revision: integer("revision").notNull(),
  type: text("type").notNull(),
  sealed_config: bytes("sealed_config").notNull(),
  described_config: jsonb("described_config").$type<JsonObject>().notNull(),
  upstream_identity: text("upstream_identity").notNull(),
  created_at: instant("created_at").notNull(),
});

export const roles = mayfly.table("roles", {
  name: text("name").primaryKey(),
  backend_id: text("backend_id").notNull(),
  definition: jsonb("definition").$type<StoredRole>().notNull(),
  updated_at: instant("updated_at").notNull(),
  deleted_at: instant("deleted_at"),
  revision: integer("revision").notNull(),
});

export const trustRoots = mayfly.table("trust_roots", {
  name: text("name").primaryKey(),
  definition: jsonb("definition").$type<TrustRoot>().notNull(),
  updated_at: instant("updated_at").notNull(),
  deleted_at: instant("deleted_at"),
  revision: integer("revision").notNull(),
});

export const resourceServers = mayfly.table("resource_servers", {
  name: text("name").primaryKey(),
  definition: jsonb("definition").$type<ResourceServer>().notNull(),
  updated_at: instant("updated_at").notNull(),
  deleted_at: instant("deleted_at"),
  revision: integer("revision").notNull(),
});

export const policyBundles = mayfly.table("policy_bundles", {
  digest: text("digest").primaryKey(),
  sources: jsonb("sources").$type<NonNullable<CatalogSnapshot["policies"]>["sources"]>().notNull(),
  stored_at: instant("stored_at").notNull(),
});

export const activePolicies = mayfly.table("active_policies", {
  singleton: boolean("singleton").primaryKey(),
  digest: text("digest"),
  activated_at: instant("activated_at"),
});

export const signingKeys = mayfly.table("signing_keys", {
  kid: text("kid").primaryKey(),
  public_jwk: jsonb("public_jwk").$type<JsonObject>().notNull(),
  sealed_private_jwk: bytes("sealed_private_jwk").notNull(),
  created_at: instant("created_at").notNull(),
  signs_from_at: instant("signs_from_at").notNull(),
  verifies_until_at: instant("verifies_until_at"),
  added: integer("added").notNull(),
});
