-- breaking: no
--
-- One person's values can leave the ledger, and its log still verifies: leaves are salted, so that
-- a hash that stays confirms no guess; one function, the migrator's alone, puts a marker in the
-- place of values; and the event of an erasure holds a digest of each row as it then is.

-- A salt for each event, made with it: whoever writes the event neither chooses nor sees it. One
-- from before has none.
ALTER TABLE mayfly.events ADD COLUMN salt bytea, ADD COLUMN erased_by uuid;
ALTER TABLE mayfly.events ALTER COLUMN salt SET DEFAULT
  substring(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) FROM 1 FOR 16);

-- The event `ledger.erased` that tells what was taken from the row.
ALTER TABLE mayfly.tasks ADD COLUMN erased_by uuid;
ALTER TABLE mayfly.task_end_requests ADD COLUMN erased_by uuid;
ALTER TABLE mayfly.decisions ADD COLUMN erased_by uuid;
ALTER TABLE mayfly.leases ADD COLUMN erased_by uuid;
ALTER TABLE mayfly.selector_ends ADD COLUMN erased_by uuid;

-- Of version 2 the salt is in the hash. A process of the version before writes and reads version 1
-- alone, so which one is written is said here: an installation that is new has no such process.
ALTER TABLE mayfly.log_entries ADD COLUMN leaf_version smallint NOT NULL DEFAULT 1;
ALTER TABLE mayfly.log_entries ADD CONSTRAINT log_entries_leaf_version_is_known
  CHECK (leaf_version IN (1, 2)) NOT VALID;
ALTER TABLE mayfly.log_head ADD COLUMN leaf_version smallint NOT NULL DEFAULT 1
  CHECK (leaf_version IN (1, 2));
UPDATE mayfly.log_head SET leaf_version = 2
WHERE entries = 0 AND NOT EXISTS (SELECT FROM mayfly.installation);
REVOKE UPDATE ON mayfly.log_head FROM mayfly_worker;
GRANT UPDATE (entries, chain_hash) ON mayfly.log_head TO mayfly_worker;

-- Whether nothing differs but that values became the marker: no key, no place in a list, no null.
CREATE FUNCTION mayfly.is_erasure_of(before jsonb, after jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF before = after THEN
    RETURN true;
  END IF;
  IF jsonb_typeof(before) NOT IN ('object', 'array') THEN
    RETURN after = '"[erased]"' AND before <> 'null';
  END IF;
  IF jsonb_typeof(after) <> jsonb_typeof(before) THEN
    RETURN false;
  END IF;
  IF jsonb_typeof(before) = 'object' THEN
    RETURN (
      SELECT bool_and(b.key IS NOT NULL AND a.key IS NOT NULL
        AND coalesce(mayfly.is_erasure_of(b.value, a.value), false))
      FROM jsonb_each(before) AS b FULL JOIN jsonb_each(after) AS a USING (key));
  END IF;
  RETURN jsonb_array_length(before) = jsonb_array_length(after) AND (
    SELECT bool_and(mayfly.is_erasure_of(b.value, after -> (b.place - 1)::integer))
    FROM jsonb_array_elements(before) WITH ORDINALITY AS b (value, place));
END
$$;

-- Nobody has UPDATE on events and decisions, the owner included: it is granted for the length of
-- this call. `changes` is a list of {"table", "id", "columns": {name: value}}.
CREATE FUNCTION mayfly.erase_rows(erasure uuid, changes jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  marked CONSTANT jsonb := '{
    "tasks": ["workload", "workload_name", "verified_initiator", "claimed_initiator", "ref",
      "descriptor", "confirmation", "end_reason"],
    "task_end_requests": ["actor", "reason"],
    "decisions": ["workload", "request", "verdict"],
    "leases": ["workload", "plan", "end_reason", "last_error", "looked"],
    "events": ["actor", "data"],
    "selector_ends": ["selector", "actor", "reason"]}';
  nulled CONSTANT jsonb := '{
    "leases": ["idempotency_scope", "idempotency_key"],
    "events": ["salt"]}';
  change jsonb;
  target text;
  key text;
  stored jsonb;
  names text;
  erased integer := 0;
BEGIN
  GRANT UPDATE ON mayfly.events, mayfly.decisions TO CURRENT_USER;
  FOR change IN SELECT value FROM jsonb_array_elements(changes) LOOP
    target := change ->> 'table';
    IF NOT coalesce(marked ? target, false) THEN
      RAISE EXCEPTION 'nothing is erased in %', target USING ERRCODE = 'invalid_parameter_value';
    END IF;
    key := CASE target WHEN 'task_end_requests' THEN 'task_id' ELSE 'id' END;
    EXECUTE format('SELECT to_jsonb(r) FROM mayfly.%I AS r WHERE %I = $1 FOR UPDATE', target, key)
      INTO stored USING (change ->> 'id')::uuid;
    IF stored IS NULL THEN
      RAISE EXCEPTION '% has no row %', target, change ->> 'id' USING ERRCODE = 'no_data_found';
    END IF;
    IF EXISTS (
      SELECT FROM jsonb_each(change -> 'columns') AS c
      WHERE NOT coalesce(CASE
        WHEN marked -> target ? c.key THEN mayfly.is_erasure_of(stored -> c.key, c.value)
        WHEN nulled -> target ? c.key THEN c.value = 'null' END, false))
    THEN
      RAISE EXCEPTION 'an erasure puts the marker in the place of values, and does nothing else'
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(quote_ident(name), ', ') INTO STRICT names
    FROM jsonb_object_keys(change -> 'columns') AS name;
    EXECUTE format('UPDATE mayfly.%1$I SET (%2$s, erased_by) = (
        SELECT %2$s, $1 FROM jsonb_populate_record(NULL::mayfly.%1$I, $2)) WHERE %3$I = $3',
      target, names, key)
      USING erasure, change -> 'columns', (change ->> 'id')::uuid;
    erased := erased + 1;
  END LOOP;
  REVOKE UPDATE ON mayfly.events, mayfly.decisions FROM CURRENT_USER;
  RETURN erased;
END
$$;
REVOKE ALL ON FUNCTION mayfly.is_erasure_of(jsonb, jsonb), mayfly.erase_rows(uuid, jsonb)
  FROM PUBLIC;

CREATE OR REPLACE VIEW mayfly_audit.tasks AS
SELECT t.id, t.parent_id, t.root_id, t.ancestors, t.depth, t.workload, t.workload_name,
  t.verified_initiator, t.claimed_initiator, t.ref, t.descriptor, t.confirmation, t.state,
  t.opened_at, t.deadline_at, t.last_heartbeat_at, t.identity_proven_at, t.ended_at, t.end_reason,
  EXISTS (
    SELECT FROM mayfly.task_end_requests AS r
    WHERE r.task_id = ANY (t.ancestors || t.id)) AS end_requested,
  t.verified_initiator_trust_root, t.idle_timeout_seconds, t.erased_by
FROM mayfly.tasks AS t;

CREATE OR REPLACE VIEW mayfly_audit.decisions AS
SELECT id, task_id, workload, role, effect, request, verdict, policy_digest, decided_at,
  recorded_at, erased_by
FROM mayfly.decisions;

CREATE OR REPLACE VIEW mayfly_audit.leases AS
SELECT l.id, l.task_id, l.workload, l.role, l.decision_id, l.backend_id, l.backend_type,
  l.backend_revision, l.plan, l.state, l.outcome, l.state <> 'ended' AS exposed, l.exposure,
  l.fingerprint, l.reserved_at, l.issue_by, l.settle_by, l.activated_at, l.expires_at,
  l.end_requested_at, l.end_reason, l.ended_at, l.due_at, l.attempts, l.last_error, l.looked,
  l.work, l.sealed_handle IS NOT NULL AS has_handle, l.erased_by
FROM mayfly.leases AS l;

CREATE OR REPLACE VIEW mayfly_audit.events AS
SELECT e.id, e.kind, e.at, e.actor, e.task_id, e.lease_id, e.decision_id, e.data,
  entry.log_index, entry.leaf_hash, entry.chain_hash, e.salt, e.erased_by
FROM mayfly.events AS e
LEFT JOIN mayfly.log_entries AS entry ON entry.event_id = e.id;

CREATE OR REPLACE VIEW mayfly_audit.log_entries AS
SELECT log_index, event_id, leaf_hash, chain_hash, leaf_version FROM mayfly.log_entries;

CREATE OR REPLACE VIEW mayfly_audit.log_head AS
SELECT entries, chain_hash, leaf_version FROM mayfly.log_head;

CREATE OR REPLACE VIEW mayfly_audit.selector_ends AS
SELECT id, target, selector, actor, reason, requested_at, look_until, looks, finished_at, result,
  erased_by
FROM mayfly.selector_ends;

-- What the digest of each erased row that is no event is made of.
CREATE VIEW mayfly_audit.erased_rows AS
SELECT 'tasks' AS table_name, id, erased_by, jsonb_build_object('parent_id', parent_id,
    'root_id', root_id, 'ancestors', ancestors, 'depth', depth, 'workload', workload,
    'workload_name', workload_name, 'verified_initiator', verified_initiator,
    'verified_initiator_trust_root', verified_initiator_trust_root,
    'claimed_initiator', claimed_initiator, 'ref', ref, 'descriptor', descriptor,
    'confirmation', confirmation, 'end_reason', end_reason,
    'deadline_us', (extract(epoch FROM deadline_at) * 1000000)::bigint) AS content
FROM mayfly.tasks WHERE erased_by IS NOT NULL
UNION ALL
SELECT 'task_end_requests', task_id, erased_by, jsonb_build_object('state', state, 'actor', actor,
    'reason', reason)
FROM mayfly.task_end_requests WHERE erased_by IS NOT NULL
UNION ALL
SELECT 'decisions', id, erased_by, jsonb_build_object('task_id', task_id, 'workload', workload,
    'role', role, 'effect', effect, 'request', request, 'verdict', verdict,
    'policy_digest', policy_digest, 'decided_us', (extract(epoch FROM decided_at) * 1000000)::bigint)
FROM mayfly.decisions WHERE erased_by IS NOT NULL
UNION ALL
SELECT 'leases', id, erased_by, jsonb_build_object('workload', workload, 'plan', plan,
    'end_reason', end_reason, 'last_error', last_error, 'looked', looked,
    'idempotency_scope', idempotency_scope, 'idempotency_key', idempotency_key)
FROM mayfly.leases WHERE erased_by IS NOT NULL
UNION ALL
SELECT 'selector_ends', id, erased_by, jsonb_build_object('target', target, 'selector', selector,
    'actor', actor, 'reason', reason)
FROM mayfly.selector_ends WHERE erased_by IS NOT NULL;

GRANT SELECT ON mayfly_audit.erased_rows TO mayfly_auditor, mayfly_broker, mayfly_worker;

COMMENT ON COLUMN mayfly_audit.tasks.erased_by IS
  'The event `ledger.erased` that tells that values became `[erased]`; null: none did.';
COMMENT ON COLUMN mayfly_audit.decisions.erased_by IS
  'The event `ledger.erased` that tells that values became `[erased]`; null: none did.';
COMMENT ON COLUMN mayfly_audit.leases.erased_by IS
  'The event `ledger.erased` that tells that values became `[erased]`; null: none did.';
COMMENT ON COLUMN mayfly_audit.selector_ends.erased_by IS
  'The event `ledger.erased` that tells that values became `[erased]`; null: none did.';
COMMENT ON COLUMN mayfly_audit.events.erased_by IS
  'The event `ledger.erased` that tells that values became `[erased]`; null: none did.';
COMMENT ON COLUMN mayfly_audit.events.salt IS
  'Random bytes in its leaf hash, if that is of version 2; null when its values were erased. Do '
  'not keep copies: with one, `leaf_hash` confirms a guess of what was erased.';
COMMENT ON COLUMN mayfly_audit.log_entries.leaf_version IS
  '2: the event''s salt is in the leaf hash; 1: it is not.';
COMMENT ON COLUMN mayfly_audit.log_head.leaf_version IS
  'Version of the leaf hashes that are written: `mayfly ledger salt`.';
COMMENT ON VIEW mayfly_audit.erased_rows IS
  'Rows that are no events and from which values were erased, as `mayfly ledger verify` compares '
  'them with the digest in the event that `erased_by` names.';
COMMENT ON COLUMN mayfly_audit.erased_rows.table_name IS
  '`tasks`, `task_end_requests`, `decisions`, `leases` or `selector_ends`.';
COMMENT ON COLUMN mayfly_audit.erased_rows.id IS
  'Id of the row; of an end request, that of its task.';
COMMENT ON COLUMN mayfly_audit.erased_rows.erased_by IS
  'The event `ledger.erased` that tells of it.';
COMMENT ON COLUMN mayfly_audit.erased_rows.content IS
  'What the row says now, where its digest covers it.';

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
    'selector_end.requested', 'selector_end.finished', 'sealing.resealed', 'ledger.cut',
    'ledger.dropped', 'ledger.salted', 'ledger.erased'
  )
) NOT VALID;
