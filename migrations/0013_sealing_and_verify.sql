-- breaking: no
--
-- What re-sealing writes, and what `mayfly ledger verify` compares beside: whether a credential
-- that was handed out still has the handle that revokes it, and when whom is looked at.

-- The broker re-seals what is sealed, in the same row.
GRANT UPDATE (sealed_config) ON mayfly.backend_revisions TO mayfly_broker;
GRANT UPDATE (sealed_private_jwk) ON mayfly.signing_keys TO mayfly_broker;

-- Never used: a one-time token's row is written once.
REVOKE UPDATE (expires_at) ON mayfly.one_time_tokens FROM mayfly_broker;

CREATE OR REPLACE VIEW mayfly_audit.tasks AS
SELECT t.id, t.parent_id, t.root_id, t.ancestors, t.depth, t.workload, t.workload_name,
  t.verified_initiator, t.claimed_initiator, t.ref, t.descriptor, t.confirmation, t.state,
  t.opened_at, t.deadline_at, t.last_heartbeat_at, t.identity_proven_at, t.ended_at, t.end_reason,
  EXISTS (
    SELECT FROM mayfly.task_end_requests AS r
    WHERE r.task_id = ANY (t.ancestors || t.id)) AS end_requested,
  t.verified_initiator_trust_root, t.idle_timeout_seconds
FROM mayfly.tasks AS t;

CREATE OR REPLACE VIEW mayfly_audit.leases AS
SELECT l.id, l.task_id, l.workload, l.role, l.decision_id, l.backend_id, l.backend_type,
  l.backend_revision, l.plan, l.state, l.outcome, l.state <> 'ended' AS exposed, l.exposure,
  l.fingerprint, l.reserved_at, l.issue_by, l.settle_by, l.activated_at, l.expires_at,
  l.end_requested_at, l.end_reason, l.ended_at, l.due_at, l.attempts, l.last_error, l.looked,
  l.work, l.sealed_handle IS NOT NULL AS has_handle
FROM mayfly.leases AS l;

ALTER TABLE mayfly.events DROP CONSTRAINT events_kind_is_known;
ALTER TABLE mayfly.events ADD CONSTRAINT events_kind_is_known CHECK (
  kind IN (
    'task.opened', 'task.heartbeat_proven', 'task.end_requested', 'task.ended',
    'decision.permitted', 'decision.denied', 'lease.reserved', 'lease.activated',
    'lease.withheld', 'lease.abandoned', 'lease.renewed', 'lease.ending', 'lease.recovering',
    'lease.retried', 'lease.stuck', 'lease.waiting', 'lease.ended', 'lease.resurfaced',
    'backend.registered', 'backend.updated', 'backend.enabled', 'backend.disabled',
    'backend.deleted', 'role.put', 'role.enabled', 'role.disabled', 'role.deleted', 'trust.put',
    'trust.enabled', 'trust.disabled', 'trust.deleted', 'policies.activated',
    'signing_key.created', 'signing_key.retired', 'admin_token.created', 'admin_token.replaced',
    'selector_end.requested', 'selector_end.finished', 'sealing.resealed'
  )
) NOT VALID;
