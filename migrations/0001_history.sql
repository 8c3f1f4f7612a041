-- breaking: no
--
-- The history: tasks, decisions, leases and events.
--
-- Ids are UUIDv7 (RFC 9562 section 5.7), so they sort by time, and the tables that grow for ever
-- are range-partitioned by month on the id itself: a lookup by id prunes to one partition, and old
-- months can be detached. There are no foreign keys between them: they would hold old months in
-- place, and would lock task rows behind the back of the one lock order that the ledger keeps.

CREATE FUNCTION mayfly.uuid7() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  -- 48 bits of milliseconds, then 12 bits of the millisecond's fraction (RFC 9562 section 6.2,
  -- method 3), so that the events of one transaction sort in the order in which they happened.
  SELECT encode(
    substring(int8send(us / 1000) FROM 3)
      || substring(int8send((x'7000'::bigint | (us % 1000) * 4096 / 1000)) FROM 7)
      || set_bit(set_bit(substring(uuid_send(gen_random_uuid()) FROM 9), 7, 1), 6, 0),
    'hex')::uuid
  FROM (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us) AS t
$$;

-- The least UUID of an instant: the bound of a partition, and of a search by time.
CREATE FUNCTION mayfly.uuid7_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
    || '00000000000000000000')::uuid
$$;

-- Milliseconds since the epoch, as the code has them, to an instant.
CREATE FUNCTION mayfly.instant(ms double precision) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT to_timestamp(ms / 1000.0) $$;

CREATE TABLE mayfly.installation (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  id text NOT NULL CHECK (id ~ '^[a-z2-7]{8}$'),
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mayfly.tasks (
  id uuid PRIMARY KEY,
  parent_id uuid,
  root_id uuid NOT NULL,
  ancestors uuid[] NOT NULL,
  depth integer NOT NULL CHECK (depth = cardinality(ancestors)),
  workload jsonb NOT NULL,
  workload_name text NOT NULL,
  verified_initiator text,
  claimed_initiator text,
  ref text,
  descriptor jsonb NOT NULL,
  confirmation text,
  state text NOT NULL DEFAULT 'active'
    CHECK (state IN ('active', 'completed', 'failed', 'cancelled', 'expired', 'killed')),
  opened_at timestamptz NOT NULL DEFAULT now(),
  deadline_at timestamptz NOT NULL,
  idle_timeout_seconds double precision NOT NULL,
  last_heartbeat_at timestamptz NOT NULL DEFAULT now(),
  -- What ledger_clock.outage_seconds was at that heartbeat.
  heartbeat_outage_seconds double precision NOT NULL,
  identity_proven_at timestamptz NOT NULL,
  identity_max_age_seconds double precision NOT NULL,
  ended_at timestamptz,
  end_reason text,
  CHECK ((state = 'active') = (ended_at IS NULL))
) PARTITION BY RANGE (id);
CREATE TABLE mayfly.tasks_default PARTITION OF mayfly.tasks DEFAULT;
CREATE INDEX tasks_root ON mayfly.tasks (root_id);
CREATE INDEX tasks_parent ON mayfly.tasks (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX tasks_workload ON mayfly.tasks (workload_name, id);
CREATE INDEX tasks_verified_initiator ON mayfly.tasks (verified_initiator, id)
  WHERE verified_initiator IS NOT NULL;
CREATE INDEX tasks_claimed_initiator ON mayfly.tasks (claimed_initiator, id)
  WHERE claimed_initiator IS NOT NULL;
CREATE INDEX tasks_ref ON mayfly.tasks (ref, id) WHERE ref IS NOT NULL;
CREATE INDEX tasks_active ON mayfly.tasks (deadline_at) WHERE state = 'active';

-- Committed before anything is locked: from then on nothing new starts below the task.
CREATE TABLE mayfly.task_end_requests (
  task_id uuid PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('completed', 'failed', 'cancelled', 'expired', 'killed')),
  actor jsonb NOT NULL,
  reason text NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  applied_at timestamptz
) PARTITION BY RANGE (task_id);
CREATE TABLE mayfly.task_end_requests_default PARTITION OF mayfly.task_end_requests DEFAULT;
CREATE INDEX task_end_requests_open ON mayfly.task_end_requests (requested_at)
  WHERE applied_at IS NULL;

CREATE TABLE mayfly.decisions (
  id uuid PRIMARY KEY,
  task_id uuid,
  workload text NOT NULL,
  role text,
  effect text NOT NULL CHECK (effect IN ('permit', 'deny')),
  request jsonb NOT NULL,
  verdict jsonb NOT NULL,
  policy_digest text NOT NULL,
  decided_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);
CREATE TABLE mayfly.decisions_default PARTITION OF mayfly.decisions DEFAULT;
CREATE INDEX decisions_task ON mayfly.decisions (task_id, id) WHERE task_id IS NOT NULL;

CREATE TABLE mayfly.leases (
  id uuid PRIMARY KEY,
  -- Null, like workload, role and decision, only where the row was lost and an orphan brought it
  -- back.
  task_id uuid,
  workload text,
  role text,
  decision_id uuid,
  backend_id text NOT NULL,
  backend_type text NOT NULL,
  backend_revision integer NOT NULL,
  plan jsonb NOT NULL,
  idempotency_scope text,
  idempotency_key text,
  generation integer NOT NULL DEFAULT 0,
  state text NOT NULL CHECK (state IN ('reserved', 'active', 'ending', 'ended', 'stuck')),
  -- Raised by each transition: what a handle is compared with.
  version integer NOT NULL DEFAULT 1,
  outcome text CHECK (outcome IN ('revoked', 'expired', 'absent', 'abandoned')),
  fingerprint text,
  sealed_handle bytea,
  reserved_at timestamptz NOT NULL DEFAULT now(),
  issue_by timestamptz NOT NULL,
  settle_by timestamptz NOT NULL,
  activated_at timestamptz,
  expires_at timestamptz NOT NULL,
  end_requested_at timestamptz,
  end_reason text,
  ended_at timestamptz,
  -- When a pass has to look at it: settle_by, expires_at, then the next attempt.
  due_at timestamptz NOT NULL,
  -- What that pass has to do.
  work text NOT NULL DEFAULT 'recover' CHECK (work IN ('revoke', 'recover')),
  claimed_until timestamptz,
  claim_token uuid,
  attempts integer NOT NULL DEFAULT 0,
  last_error text,
  looked jsonb,
  -- Set while a quarantine or a propagation runs; else the exposure follows from the state.
  exposure jsonb,
  CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
  CHECK ((state = 'ended') = (outcome IS NOT NULL)),
  CHECK (state <> 'active' OR (sealed_handle IS NOT NULL AND work = 'revoke')),
  CHECK (work <> 'revoke' OR sealed_handle IS NOT NULL)
) PARTITION BY RANGE (id);
CREATE TABLE mayfly.leases_default PARTITION OF mayfly.leases DEFAULT;
-- The live set is small whatever the history.
CREATE INDEX leases_due ON mayfly.leases (backend_id, due_at) WHERE state <> 'ended';
CREATE INDEX leases_live_role ON mayfly.leases (role) WHERE state <> 'ended';
CREATE INDEX leases_live_workload ON mayfly.leases (workload) WHERE state <> 'ended';
CREATE INDEX leases_live_idempotency ON mayfly.leases (idempotency_key, idempotency_scope)
  WHERE state <> 'ended' AND idempotency_key IS NOT NULL;
CREATE INDEX leases_task ON mayfly.leases (task_id, id);
CREATE INDEX leases_workload ON mayfly.leases (workload, id);
CREATE INDEX leases_role ON mayfly.leases (role, id);
CREATE INDEX leases_fingerprint ON mayfly.leases (fingerprint) WHERE fingerprint IS NOT NULL;

CREATE TABLE mayfly.events (
  id uuid PRIMARY KEY DEFAULT mayfly.uuid7(),
  kind text NOT NULL,
  -- Whole milliseconds: what is hashed is exactly what the API shows.
  at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', now())
    CHECK (at = date_trunc('milliseconds', at)),
  actor jsonb NOT NULL,
  task_id uuid,
  lease_id uuid,
  decision_id uuid,
  data jsonb NOT NULL
) PARTITION BY RANGE (id);
CREATE TABLE mayfly.events_default PARTITION OF mayfly.events DEFAULT;
CREATE INDEX events_task ON mayfly.events (task_id, id) WHERE task_id IS NOT NULL;
CREATE INDEX events_lease ON mayfly.events (lease_id, id) WHERE lease_id IS NOT NULL;
CREATE INDEX events_kind ON mayfly.events (kind, id);

CREATE TABLE mayfly.idempotency_keys (
  scope_sha256 text NOT NULL,
  key text NOT NULL,
  body_sha256 text NOT NULL,
  task_id uuid NOT NULL,
  generation integer NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (key, scope_sha256)
);
CREATE INDEX idempotency_keys_expiry ON mayfly.idempotency_keys (expires_at);

CREATE TABLE mayfly.one_time_tokens (
  issuer text NOT NULL,
  jti text NOT NULL,
  -- Which request it was presented with: only the same one may present it again.
  scope_sha256 text,
  key text,
  body_sha256 text,
  confirmation text,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (issuer, jti)
);
CREATE INDEX one_time_tokens_expiry ON mayfly.one_time_tokens (expires_at);
