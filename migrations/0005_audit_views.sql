-- breaking: no
--
-- What the auditor reads: everything but sealed bytes and the machinery of claims.

CREATE SCHEMA mayfly_audit;

CREATE VIEW mayfly_audit.tasks AS
SELECT t.id, t.parent_id, t.root_id, t.ancestors, t.depth, t.workload, t.workload_name,
  t.verified_initiator, t.claimed_initiator, t.ref, t.descriptor, t.confirmation, t.state,
  t.opened_at, t.deadline_at, t.last_heartbeat_at, t.identity_proven_at, t.ended_at, t.end_reason,
  EXISTS (
    SELECT FROM mayfly.task_end_requests AS r
    WHERE r.task_id = ANY (t.ancestors || t.id)) AS end_requested
FROM mayfly.tasks AS t;

CREATE VIEW mayfly_audit.decisions AS
SELECT id, task_id, workload, role, effect, request, verdict, policy_digest, decided_at, recorded_at
FROM mayfly.decisions;

CREATE VIEW mayfly_audit.leases AS
SELECT l.id, l.task_id, l.workload, l.role, l.decision_id, l.backend_id, l.backend_type,
  l.backend_revision, l.plan, l.state, l.outcome, l.state <> 'ended' AS exposed, l.exposure,
  l.fingerprint, l.reserved_at, l.issue_by, l.settle_by, l.activated_at, l.expires_at,
  l.end_requested_at, l.end_reason, l.ended_at, l.due_at, l.attempts, l.last_error, l.looked
FROM mayfly.leases AS l;

CREATE VIEW mayfly_audit.events AS
SELECT e.id, e.kind, e.at, e.actor, e.task_id, e.lease_id, e.decision_id, e.data,
  entry.log_index, entry.leaf_hash, entry.chain_hash
FROM mayfly.events AS e
LEFT JOIN mayfly.log_entries AS entry ON entry.event_id = e.id;

CREATE VIEW mayfly_audit.log_head AS SELECT entries, chain_hash FROM mayfly.log_head;

CREATE VIEW mayfly_audit.backends AS
SELECT b.id, b.type, r.revision, r.revision = b.revision AS current, b.enabled, r.described_config,
  r.upstream_identity, r.created_at, b.deleted_at
FROM mayfly.backends AS b
JOIN mayfly.backend_revisions AS r ON r.backend_id = b.id;

CREATE VIEW mayfly_audit.roles AS
SELECT name, backend_id, definition, updated_at, deleted_at FROM mayfly.roles;

CREATE VIEW mayfly_audit.trust_roots AS
SELECT name, definition, updated_at, deleted_at FROM mayfly.trust_roots;

CREATE VIEW mayfly_audit.policy_bundles AS
SELECT b.digest, b.sources, b.stored_at, a.activated_at, a.digest IS NOT NULL AS active
FROM mayfly.policy_bundles AS b
LEFT JOIN mayfly.active_policies AS a ON a.digest = b.digest;

CREATE VIEW mayfly_audit.signing_keys AS
SELECT kid, public_jwk, created_at, signs_from_at, verifies_until_at FROM mayfly.signing_keys;

CREATE VIEW mayfly_audit.sweeps AS SELECT backend_id, finished_at FROM mayfly.sweeps;
