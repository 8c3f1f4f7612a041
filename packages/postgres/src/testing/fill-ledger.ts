import type postgres from "postgres";

/** Rows that a ledger of some years has, written by SQL: made up, but of the shape that counts. */
export interface Filling {
  readonly leases: number;
  /** How many of the leases have not ended: the newest. */
  readonly live: number;
  readonly workloads: number;
  readonly roles: number;
  /** One of so many ended late. */
  readonly lateOneOf: number;
}

/**
 * A task, a decision and a lease each, spread over the month before; one of fifty decisions more is
 * a denial. Triggers are off: the log is not what is measured here.
 */
export async function fillLedger(sql: postgres.Sql, filling: Filling): Promise<void> {
  const { leases, live, workloads, roles, lateOneOf } = filling;
  await sql.begin(async (tx) => {
    await tx`SET LOCAL session_replication_role = replica`;
    await tx`SET LOCAL synchronous_commit = off`;
    await tx`
      CREATE TEMP TABLE filled ON COMMIT DROP AS
      SELECT n, n > ${leases - live} AS live, n % ${lateOneOf}::integer = 0 AS late,
        'spiffe://acme.test/agent/bot-' || (n % ${workloads}::integer) AS workload,
        'db-' || (n % ${roles}::integer) AS backend,
        'db-' || (n % ${roles}::integer) || '/reader' AS role,
        now() - make_interval(
          secs => (${leases}::integer - n) * 2592000.0 / ${leases}::integer) AS at
      FROM generate_series(1, ${leases}::integer) AS n`;
    await tx`
      ALTER TABLE filled ADD COLUMN task uuid, ADD COLUMN decision uuid, ADD COLUMN lease uuid`;
    await tx`
      UPDATE filled
      SET task = ${uuidAt(tx, 1)}, decision = ${uuidAt(tx, 2)}, lease = ${uuidAt(tx, 3)}`;
    await tx`
      INSERT INTO mayfly.tasks (id, root_id, ancestors, depth, workload, workload_name,
        verified_initiator, claimed_initiator, descriptor, state, opened_at, deadline_at,
        idle_timeout_seconds, heartbeat_outage_seconds, identity_proven_at,
        identity_max_age_seconds, ended_at, end_reason)
      SELECT task, task, '{}', 0,
        jsonb_build_object('trustRoot', 'acme.test', 'kind', 'spiffe', 'issuer',
          'spiffe://acme.test', 'subject', workload, 'attributes', '{}'::jsonb),
        workload, CASE WHEN n % 2 = 0 THEN ${initiatorAt(tx, leases)} END,
        CASE WHEN n % 2 = 1 THEN ${initiatorAt(tx, leases)} END,
        '{"version": 1, "goal": "Reconcile", "ref": null, "credentials": [], "targets": [],
          "deadlineSeconds": 900, "idleTimeoutSeconds": 60, "claimedInitiator": null,
          "parent": null}', CASE WHEN live THEN 'active' ELSE 'completed' END, at,
        now() + interval '1 hour', 60, 0, at, 600, CASE WHEN NOT live THEN at END, NULL
      FROM filled`;
    await tx`
      INSERT INTO mayfly.decisions (id, task_id, workload, role, effect, request, verdict,
        policy_digest, decided_at)
      SELECT decision, task, workload, role, CASE WHEN n % 50 = 0 THEN 'deny' ELSE 'permit' END,
        '{"action": "issue"}', CASE WHEN n % 50 = 0
          THEN '{"effect": "deny", "why": "no_permit", "determining": [], "explanation": "no"}'
          ELSE '{"effect": "permit", "determining": ["bots-read"], "explanation": "yes"}'
        END::jsonb, repeat('9f', 32), at
      FROM filled`;
    await tx`
      INSERT INTO mayfly.leases (id, task_id, workload, role, decision_id, backend_id, backend_type,
        backend_revision, plan, state, outcome, fingerprint, sealed_handle, reserved_at, issue_by,
        settle_by, activated_at, expires_at, end_requested_at, ended_at, due_at, work)
      SELECT lease, task, workload, role, decision, backend, 'postgres', 1,
        jsonb_build_object('leaseId', 'lease_' || replace(lease::text, '-', ''), 'externalName',
          'mf_test', 'expiresAt', 0, 'grant', '{}'::jsonb),
        CASE WHEN live THEN 'active' ELSE 'ended' END, CASE WHEN NOT live THEN 'revoked' END,
        encode(sha256(n::text::bytea), 'hex'), '\\x00', at, at, at, at,
        CASE WHEN live THEN now() + interval '10 minutes' ELSE at + interval '15 minutes' END,
        CASE WHEN NOT live THEN at + interval '60 s' END,
        CASE WHEN NOT live THEN at + CASE WHEN late THEN interval '3 minutes'
          ELSE interval '60.2 s' END END,
        now() + interval '10 minutes', 'revoke'
      FROM filled`;
    await tx`
      INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
      SELECT CASE WHEN n % 1000 = 0 THEN 'role.put' ELSE 'lease.ended' END,
        '{"kind": "administrator", "name": "alice"}', task, lease, '{}'
      FROM filled`;
  });
  await sql`VACUUM (ANALYZE) mayfly.leases, mayfly.tasks, mayfly.decisions, mayfly.events`;
}

/** Who has the oldest twentieth of all, and nothing since: along the ids it is a long way. */
export const LEFT = "person-who-left";

const initiatorAt = (sql: postgres.TransactionSql, leases: number) => sql`
  CASE WHEN n <= ${leases / 20}::float8 THEN ${LEFT} ELSE 'person-' || (n % 1000) END`;

/** A UUIDv7 of the row's instant; `kind` keeps the ids of one row apart. */
const uuidAt = (sql: postgres.TransactionSql, kind: number) => sql`
  (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
    || lpad(to_hex(${kind}::integer), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid`;
