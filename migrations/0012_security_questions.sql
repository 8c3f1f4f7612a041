-- breaking: no
--
-- What security teams ask, and ends by selector. The views are theirs to query; the indices are
-- those that the questions need. An end by selector is a row before it has an effect, and its
-- members say what it found, so that whoever comes after a crash goes on with it.

CREATE TABLE mayfly.selector_ends (
  id uuid PRIMARY KEY DEFAULT mayfly.uuid7(),
  target text NOT NULL CHECK (target IN ('leases', 'tasks')),
  selector jsonb NOT NULL,
  actor jsonb NOT NULL,
  reason text NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  -- A look that finds nothing new is the last one only from then on.
  look_until timestamptz NOT NULL,
  -- Whoever works on it says so: another takes over when nobody has for a while.
  touched_at timestamptz NOT NULL DEFAULT now(),
  looks integer NOT NULL DEFAULT 0,
  finished_at timestamptz,
  result text CHECK (result IN ('none_left', 'still_appearing')),
  CHECK ((finished_at IS NULL) = (result IS NULL))
);
CREATE INDEX selector_ends_open ON mayfly.selector_ends (touched_at) WHERE finished_at IS NULL;

CREATE TABLE mayfly.selector_end_members (
  end_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('task', 'lease')),
  member_id uuid NOT NULL,
  -- It came to be after the end was requested.
  appeared boolean NOT NULL,
  -- Its own end is still to be requested.
  pending boolean NOT NULL,
  PRIMARY KEY (end_id, kind, member_id)
);
CREATE INDEX selector_end_members_pending ON mayfly.selector_end_members (end_id, kind, member_id)
  WHERE pending;

GRANT SELECT, INSERT, UPDATE (touched_at, looks, finished_at, result) ON mayfly.selector_ends
  TO mayfly_broker, mayfly_worker;
GRANT SELECT, INSERT, UPDATE (pending) ON mayfly.selector_end_members
  TO mayfly_broker, mayfly_worker;

ALTER TABLE mayfly.events DROP CONSTRAINT events_kind_is_known;
ALTER TABLE mayfly.events ADD CONSTRAINT events_kind_is_known CHECK (
  kind IN (
    'task.opened', 'task.heartbeat_proven', 'task.end_requested', 'task.ended',
    'decision.permitted', 'decision.denied', 'lease.reserved', 'lease.activated',
    'lease.withheld', 'lease.abandoned', 'lease.renewed', 'lease.ending', 'lease.recovering',
    'lease.retried', 'lease.stuck', 'lease.waiting', 'lease.ended', 'lease.resurfaced',
    'backend.registered', 'backend.updated', 'backend.enabled', 'backend.disabled',
    'backend.deleted', 'role.put', 'role.deleted', 'trust.put', 'trust.deleted',
    'policies.activated', 'signing_key.created', 'signing_key.retired', 'admin_token.created',
    'admin_token.replaced', 'selector_end.requested', 'selector_end.finished'
  )
) NOT VALID;

-- How often each policy determined a decision: counted by the worker in the order of the log, up
-- to `log_index`, so that the question needs no walk through all decisions.
CREATE TABLE mayfly.policy_use (
  policy_digest text NOT NULL,
  policy_id text NOT NULL,
  permits bigint NOT NULL DEFAULT 0,
  denials bigint NOT NULL DEFAULT 0,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  PRIMARY KEY (policy_id, policy_digest)
);
CREATE TABLE mayfly.policy_use_head (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  -- The next entry of the log to count.
  log_index bigint NOT NULL
);
INSERT INTO mayfly.policy_use_head (log_index) VALUES (0);
GRANT SELECT ON mayfly.policy_use, mayfly.policy_use_head TO mayfly_broker, mayfly_worker;
GRANT INSERT, UPDATE (permits, denials, first_at, last_at) ON mayfly.policy_use TO mayfly_worker;
GRANT UPDATE (log_index) ON mayfly.policy_use_head TO mayfly_worker;

CREATE INDEX decisions_workload ON mayfly.decisions (workload, id);
CREATE INDEX decisions_denied ON mayfly.decisions (workload, id) WHERE effect = 'deny';
-- What ended more than a second after it was due: few, whatever the history.
CREATE INDEX leases_late ON mayfly.leases (id)
  WHERE state = 'ended'
    AND ended_at - CASE WHEN activated_at IS NULL THEN settle_by
      ELSE least(expires_at, coalesce(end_requested_at, expires_at)) END > interval '1 second';
-- All that is neither a task's, a lease's nor a decision's: what administrators did.
CREATE INDEX events_administration ON mayfly.events (id)
  WHERE split_part(kind, '.', 1) NOT IN ('task', 'lease', 'decision');

-- One row for each lease: who has it, on whose behalf, for which task, under which policy, and
-- whether its credential might still work.
CREATE VIEW mayfly_audit.holders AS
SELECT l.id AS lease_id, l.workload, l.role, l.backend_id, l.state, l.outcome,
  CASE
    WHEN l.state = 'ended' THEN 'none'
    WHEN l.state IN ('ending', 'stuck') AND l.exposure IS NOT NULL THEN l.exposure ->> 'kind'
    WHEN l.state IN ('reserved', 'stuck') OR l.work = 'recover' OR l.expires_at <= now()
      THEN 'unknown'
    ELSE 'until'
  END AS exposure,
  CASE
    WHEN l.state IN ('ending', 'stuck') AND l.exposure IS NOT NULL
      THEN to_timestamp((l.exposure ->> 'until')::double precision / 1000)
    WHEN l.state IN ('active', 'ending') AND l.work = 'revoke' AND l.expires_at > now()
      THEN l.expires_at
  END AS exposed_until,
  CASE
    WHEN l.state = 'ended' THEN NULL
    WHEN l.state IN ('ending', 'stuck') AND l.exposure IS NOT NULL THEN l.exposure ->> 'reason'
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

-- The same for the live ones alone: what might still work, until when and why.
CREATE VIEW mayfly_audit.exposed_leases AS
SELECT * FROM mayfly_audit.holders WHERE state <> 'ended';

-- All that a workload asked for: each lease, and each denial.
CREATE VIEW mayfly_audit.touched AS
SELECT l.workload, 'lease' AS what, l.id AS lease_id, l.decision_id, l.role, l.backend_id,
  l.task_id, l.state, l.reserved_at AS at
FROM mayfly.leases AS l
UNION ALL
SELECT d.workload, 'denial', NULL, d.id, d.role, split_part(d.role, '/', 1), d.task_id, NULL,
  d.recorded_at
FROM mayfly.decisions AS d WHERE d.effect = 'deny';

-- Leases that ended, or are still to end, after they were due.
CREATE VIEW mayfly_audit.late_ends AS
SELECT late.*, extract(epoch FROM coalesce(late.ended_at, now()) - late.due_at)::double precision
  AS late_seconds
FROM (
  SELECT l.id AS lease_id, l.workload, l.role, l.backend_id, l.task_id, l.state, l.outcome,
    CASE WHEN l.activated_at IS NULL THEN l.settle_by
      ELSE least(l.expires_at, coalesce(l.end_requested_at, l.expires_at)) END AS due_at,
    l.ended_at, l.end_reason, l.attempts, l.last_error
  FROM mayfly.leases AS l
  WHERE (l.state = 'ended'
      AND l.ended_at - CASE WHEN l.activated_at IS NULL THEN l.settle_by
        ELSE least(l.expires_at, coalesce(l.end_requested_at, l.expires_at)) END
        > interval '1 second')
    OR (l.state <> 'ended'
      AND now() - CASE WHEN l.activated_at IS NULL THEN l.settle_by
        ELSE least(l.expires_at, coalesce(l.end_requested_at, l.expires_at)) END
        > interval '1 second')
) AS late;

-- Each policy that ever determined a decision, under each set of policies that it was part of.
CREATE VIEW mayfly_audit.policy_use AS
SELECT u.policy_id, u.policy_digest, a.digest IS NOT NULL AS active, u.permits, u.denials,
  u.first_at, u.last_at
FROM mayfly.policy_use AS u
LEFT JOIN mayfly.active_policies AS a ON a.digest = u.policy_digest;

-- The policies of the active set, as its text has them, with their use under whichever set: those
-- without a permit have never permitted anything.
CREATE VIEW mayfly_audit.active_policy_use AS
SELECT p.policy_id, a.digest AS policy_digest, a.activated_at,
  coalesce(sum(u.permits) FILTER (WHERE u.policy_digest = a.digest), 0)::bigint AS permits,
  coalesce(sum(u.denials) FILTER (WHERE u.policy_digest = a.digest), 0)::bigint AS denials,
  coalesce(sum(u.permits), 0)::bigint AS permits_ever,
  coalesce(sum(u.denials), 0)::bigint AS denials_ever, max(u.last_at) AS last_at
FROM mayfly.active_policies AS a
JOIN mayfly.policy_bundles AS b ON b.digest = a.digest
CROSS JOIN LATERAL (
  SELECT DISTINCT found[1] AS policy_id
  FROM jsonb_array_elements(b.sources) AS source,
    regexp_matches(
      regexp_replace(source ->> 'text', '^\s*//.*$', '', 'gn'),
      '@id\s*\(\s*"([^"\\]*)"\s*\)', 'g') AS found
) AS p
LEFT JOIN mayfly.policy_use AS u ON u.policy_id = p.policy_id
GROUP BY p.policy_id, a.digest, a.activated_at;

CREATE VIEW mayfly_audit.administration AS
SELECT e.id, e.at, e.kind, e.actor ->> 'kind' AS actor_kind, e.actor ->> 'name' AS actor, e.data,
  entry.log_index
FROM mayfly.events AS e
LEFT JOIN mayfly.log_entries AS entry ON entry.event_id = e.id
WHERE split_part(e.kind, '.', 1) NOT IN ('task', 'lease', 'decision');

CREATE VIEW mayfly_audit.selector_ends AS
SELECT id, target, selector, actor, reason, requested_at, look_until, looks, finished_at, result
FROM mayfly.selector_ends;

CREATE VIEW mayfly_audit.selector_end_members AS
SELECT end_id, kind, member_id, appeared, pending FROM mayfly.selector_end_members;

GRANT SELECT ON mayfly_audit.holders, mayfly_audit.exposed_leases, mayfly_audit.touched,
  mayfly_audit.late_ends, mayfly_audit.policy_use, mayfly_audit.active_policy_use,
  mayfly_audit.administration, mayfly_audit.selector_ends, mayfly_audit.selector_end_members
  TO mayfly_auditor;
GRANT SELECT ON mayfly_audit.exposed_leases TO mayfly_broker, mayfly_worker;
