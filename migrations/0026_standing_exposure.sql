-- breaking: no
--
-- A credential that outlives its lease says so from its activation on: `leases.exposure` is set
-- then, and a view that did not look at it while a lease is active would show its expiry.

CREATE OR REPLACE VIEW mayfly_audit.holders AS
SELECT l.id AS lease_id, l.workload, l.role, l.backend_id, l.state, l.outcome,
  CASE
    WHEN l.state = 'ended' THEN 'none'
    WHEN l.state IN ('active', 'ending', 'stuck') AND l.exposure IS NOT NULL
      THEN l.exposure ->> 'kind'
    WHEN l.state IN ('reserved', 'stuck') OR l.work = 'recover' OR l.expires_at <= now()
      THEN 'unknown'
    ELSE 'until'
  END AS exposure,
  CASE
    WHEN l.state IN ('active', 'ending', 'stuck') AND l.exposure IS NOT NULL
      THEN to_timestamp((l.exposure ->> 'until')::double precision / 1000)
    WHEN l.state IN ('active', 'ending') AND l.work = 'revoke' AND l.expires_at > now()
      THEN l.expires_at
  END AS exposed_until,
  CASE
    WHEN l.state = 'ended' THEN NULL
    WHEN l.state IN ('active', 'ending', 'stuck') AND l.exposure IS NOT NULL
      THEN l.exposure ->> 'reason'
    WHEN l.state = 'stuck' THEN 'stuck'
    WHEN l.state = 'reserved' OR l.work = 'recover' THEN 'unsettled'
    ELSE 'live'
  END AS exposure_reason,
  l.task_id, t.state AS task_state, t.ref AS task_ref, t.descriptor ->> 'goal' AS task_goal,
  coalesce(t.verified_initiator, t.claimed_initiator) AS initiator,
  CASE
    WHEN t.verified_initiator IS NOT NULL THEN 'verified'
    WHEN t.claimed_initiator IS NOT NULL THEN 'claimed'
  END AS initiator_basis,
  t.workload ->> 'trustRoot' AS trust_root,
  l.decision_id, d.policy_digest, d.verdict -> 'determining' AS determining_policies,
  l.reserved_at, l.activated_at, l.expires_at, l.end_requested_at, l.end_reason, l.ended_at,
  l.attempts, l.last_error
FROM mayfly.leases AS l
LEFT JOIN mayfly.tasks AS t ON t.id = l.task_id
LEFT JOIN mayfly.decisions AS d ON d.id = l.decision_id;

COMMENT ON COLUMN mayfly_audit.leases.exposure IS
  'Set while a quarantine or a propagation runs, and while what outlives its lease is not '
  'replaced, as JSON; `holders.exposure` always tells.';
