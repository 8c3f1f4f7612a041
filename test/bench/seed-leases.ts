import type postgres from "postgres";

export interface Seed {
  readonly leases: number;
  /** How many of them live: the newest, due in an hour or two. The others were revoked. */
  readonly live: number;
  /** Over how many months before now they are spread. */
  readonly months: number;
  /** Whose they are; leases take turns. */
  readonly backends: readonly string[];
  readonly workloads: number;
}

/**
 * Fills a ledger with set-based SQL: a task, a decision, a lease and an event each, in partitions
 * of their months. Triggers are off, so the log's queue stays empty.
 */
export async function seedLeases(sql: postgres.Sql, seed: Seed): Promise<void> {
  await sql.unsafe(PARTITIONS, [String(Math.ceil(seed.months))]);
  // In pieces, so that a failure is seen early and no transaction is enormous.
  for (let from = 1; from <= seed.leases; from += PIECE) {
    await seedPiece(sql, seed, from, Math.min(seed.leases, from + PIECE - 1));
  }
  await sql`VACUUM (ANALYZE) mayfly.leases, mayfly.tasks, mayfly.decisions, mayfly.events`;
  await sql`CHECKPOINT`;
}

const PIECE = 250_000;

const PARTITIONS = `
SELECT count(mayfly_bench.make(t.parent, date_trunc('month', now() AT TIME ZONE 'UTC')
  - make_interval(months => m)))
FROM unnest(ARRAY['tasks', 'task_end_requests', 'decisions', 'leases', 'events']) AS t (parent),
  generate_series(0, $1::integer) AS m`;

/** What the worker does for months to come, here for those that are past. */
export const MAKE_PARTITION = `
CREATE SCHEMA mayfly_bench;
CREATE FUNCTION mayfly_bench.make(parent text, starts timestamp) RETURNS void LANGUAGE plpgsql AS $$
DECLARE child text := format('%s_%s', parent, to_char(starts, 'YYYY_MM'));
BEGIN
  IF to_regclass('mayfly.' || child) IS NULL THEN
    EXECUTE format('CREATE TABLE mayfly.%I PARTITION OF mayfly.%I FOR VALUES FROM (%L) TO (%L)',
      child, parent, mayfly.uuid7_floor(starts AT TIME ZONE 'UTC'),
      mayfly.uuid7_floor((starts + interval '1 month') AT TIME ZONE 'UTC'));
  END IF;
END $$`;

async function seedPiece(
  sql: postgres.Sql,
  { leases, live, months, backends, workloads }: Seed,
  from: number,
  to: number,
): Promise<void> {
  await sql.begin(async (tx) => {
    await tx`SET LOCAL session_replication_role = replica`;
    await tx`SET LOCAL synchronous_commit = off`;
    await tx`
      CREATE TEMP TABLE seeded ON COMMIT DROP AS
      SELECT n, live, 'spiffe://bench.test/agent/bot-' || (n % ${workloads}::integer) AS workload,
        backend, backend || '/reader' AS role, at,
        ${idAt(tx, 1)} AS task, ${idAt(tx, 2)} AS decision, ${idAt(tx, 3)} AS lease,
        ${idAt(tx, 4)} AS event
      FROM (SELECT n, n > ${leases - live}::integer AS live,
          (${[...backends]}::text[])[1 + n % ${backends.length}::integer] AS backend,
          now() - interval '1 second' - make_interval(secs =>
            (${leases}::integer - n) * ${months * 2_592_000}::float8 / ${leases}::integer) AS at
        FROM generate_series(${from}::integer, ${to}::integer) AS n) AS rows`;
    await tx`
      INSERT INTO mayfly.tasks (id, root_id, ancestors, depth, workload, workload_name,
        claimed_initiator, descriptor, state, opened_at, deadline_at, idle_timeout_seconds,
        heartbeat_outage_seconds, identity_proven_at, identity_max_age_seconds, ended_at)
      SELECT task, task, '{}', 0,
        jsonb_build_object('trustRoot', 'bench.test', 'kind', 'spiffe', 'issuer',
          'spiffe://bench.test', 'subject', workload, 'attributes', '{}'::jsonb),
        workload, 'person-' || (n % 1000),
        '{"version": 1, "goal": "Reconcile", "ref": null, "credentials": [], "targets": [],
          "deadlineSeconds": 7200, "idleTimeoutSeconds": 7200, "claimedInitiator": null,
          "parent": null}', CASE WHEN live THEN 'active' ELSE 'completed' END, at,
        now() + interval '3 hours', 10000, 0, at, 600, CASE WHEN NOT live THEN at END
      FROM seeded`;
    await tx`
      INSERT INTO mayfly.decisions (id, task_id, workload, role, effect, request, verdict,
        policy_digest, decided_at)
      SELECT decision, task, workload, role, CASE WHEN n % 50 = 0 THEN 'deny' ELSE 'permit' END,
        '{"action": "issue"}', CASE WHEN n % 50 = 0
          THEN '{"effect": "deny", "why": "no_permit", "determining": [], "explanation": "no"}'
          ELSE '{"effect": "permit", "determining": ["bots-read"], "explanation": "yes"}'
        END::jsonb, repeat('9f', 32), at
      FROM seeded`;
    await tx`
      INSERT INTO mayfly.leases (id, task_id, workload, role, decision_id, backend_id, backend_type,
        backend_revision, plan, state, outcome, fingerprint, sealed_handle, reserved_at, issue_by,
        settle_by, activated_at, expires_at, end_requested_at, ended_at, due_at, work)
      SELECT lease, task, workload, role, decision, backend, 'postgres', 1,
        jsonb_build_object('leaseId', 'lease_' || replace(lease::text, '-', ''), 'externalName',
          'mf_benchaaa_' || replace(lease::text, '-', ''), 'expiresAt', 0, 'grant', '{}'::jsonb),
        CASE WHEN live THEN 'active' ELSE 'ended' END, CASE WHEN NOT live THEN 'revoked' END,
        encode(sha256(n::text::bytea), 'hex'), '\\x00', at, at, at, at,
        CASE WHEN live THEN now() + make_interval(secs => 3600 + n % 3600)
          ELSE at + interval '15 minutes' END,
        CASE WHEN NOT live THEN at + interval '60 s' END,
        CASE WHEN NOT live THEN at + CASE WHEN n % 500 = 0 THEN interval '3 minutes'
          ELSE interval '60.2 s' END END,
        CASE WHEN live THEN now() + make_interval(secs => 3600 + n % 3600)
          ELSE at + interval '15 minutes' END, 'revoke'
      FROM seeded`;
    await tx`
      INSERT INTO mayfly.events (id, kind, actor, task_id, lease_id, data)
      SELECT event, CASE WHEN n % 1000 = 0 THEN 'role.put' ELSE 'lease.ended' END,
        '{"kind": "administrator", "name": "alice"}', task, lease, '{}'
      FROM seeded`;
  });
}

/** A UUIDv7 of the row's instant; `kind` keeps the ids of one row apart. */
const idAt = (sql: postgres.TransactionSql, kind: number) => sql`
  (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
    || lpad(to_hex(${kind}::integer), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid`;
