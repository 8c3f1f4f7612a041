-- breaking: no
--
-- Slots of pooled backends: principals that are used again. A row says who has a slot, or had it
-- last; whether that one is still a tenant is read from its lease, so that no crash leaves a slot
-- taken, and a lease that resurfaces has its slot again.

CREATE TABLE mayfly.backend_slots (
  backend_id text NOT NULL,
  slot text NOT NULL CHECK (length(slot) BETWEEN 1 AND 200),
  -- Microseconds since the epoch, or one more than before: below 2^53, and higher after a restore
  -- that lost some.
  generation bigint NOT NULL CHECK (generation BETWEEN 0 AND 9007199254740991),
  -- Null: nobody had it yet.
  lease_id uuid,
  taken_at timestamptz,
  -- For how long nobody gets it after the end of its tenancy.
  quarantine interval NOT NULL DEFAULT '0' CHECK (quarantine >= '0'),
  -- When the tenant was to be gone: for one whose lease is no longer kept.
  gone_by timestamptz,
  PRIMARY KEY (backend_id, slot)
);
CREATE UNIQUE INDEX backend_slots_lease ON mayfly.backend_slots (backend_id, lease_id);

GRANT SELECT, INSERT, UPDATE (generation, lease_id, taken_at, quarantine, gone_by)
  ON mayfly.backend_slots TO mayfly_broker, mayfly_worker;

CREATE VIEW mayfly_audit.backend_slots AS
SELECT backend_id, slot, generation, lease_id, taken_at,
  extract(epoch FROM quarantine)::double precision AS quarantine_seconds, gone_by
FROM mayfly.backend_slots;
GRANT SELECT ON mayfly_audit.backend_slots TO mayfly_auditor, mayfly_broker, mayfly_worker;
COMMENT ON VIEW mayfly_audit.backend_slots IS
  'Principals of pooled backends, which are used again, each with its last tenant.';
COMMENT ON COLUMN mayfly_audit.backend_slots.backend_id IS
  'Name of the backend.';
COMMENT ON COLUMN mayfly_audit.backend_slots.slot IS
  'What the backend calls the principal.';
COMMENT ON COLUMN mayfly_audit.backend_slots.generation IS
  'Rises with each tenant; what a tenant is told apart by.';
COMMENT ON COLUMN mayfly_audit.backend_slots.lease_id IS
  'The lease that has it, or had it last; null: none had it yet.';
COMMENT ON COLUMN mayfly_audit.backend_slots.taken_at IS
  'Since when that lease has it.';
COMMENT ON COLUMN mayfly_audit.backend_slots.quarantine_seconds IS
  'For how long nobody gets it after the end of its tenancy.';
COMMENT ON COLUMN mayfly_audit.backend_slots.gone_by IS
  'When the tenant was to be gone, as reserved: counts where its lease is kept no longer.';

-- `infinity` while it has a tenant. What was abandoned was certainly never sent.
CREATE FUNCTION mayfly.slot_free_at(
  slot mayfly.backend_slots, state text, outcome text, ended_at timestamptz, settle_by timestamptz
) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN (slot).lease_id IS NULL THEN '-infinity'::timestamptz
  WHEN state IS NULL THEN (slot).gone_by + (slot).quarantine
  WHEN state <> 'ended' THEN 'infinity'::timestamptz
  WHEN outcome = 'abandoned' THEN ended_at
  ELSE greatest(ended_at, settle_by) + (slot).quarantine
END;

-- One statement, so that a process which is frozen holds nobody's slot: an answer is the slot and
-- its generation, or in how many seconds one is free; both null: the lease may take none.
CREATE FUNCTION mayfly.take_backend_slot(
  backend text, lease uuid, wanted jsonb, quarantine_seconds double precision,
  OUT slot text, OUT generation bigint, OUT free_in double precision
) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  tenant record;
  chosen text;
BEGIN
  -- The same lease twice at once, when an answer was lost.
  PERFORM pg_advisory_xact_lock(hashtextextended(lease::text, 28));
  SELECT s.slot, s.generation INTO take_backend_slot.slot, take_backend_slot.generation
  FROM mayfly.backend_slots AS s WHERE s.backend_id = backend AND s.lease_id = lease;
  SELECT l.task_id, greatest(l.settle_by, l.expires_at) AS gone_by INTO tenant
  FROM mayfly.leases AS l
  WHERE l.id = lease AND l.backend_id = backend AND l.state = 'reserved'
    AND l.end_requested_at IS NULL AND l.issue_by >= clock_timestamp();
  IF NOT FOUND THEN
    take_backend_slot.slot := NULL;
    take_backend_slot.generation := NULL;
    RETURN;
  END IF;
  IF take_backend_slot.slot IS NOT NULL THEN
    RETURN;
  END IF;
  INSERT INTO mayfly.backend_slots (backend_id, slot, generation)
  SELECT backend, w, 0 FROM jsonb_array_elements_text(wanted) AS w
  WHERE NOT EXISTS (
    SELECT FROM mayfly.backend_slots AS s WHERE s.backend_id = backend AND s.slot = w)
  ORDER BY w ON CONFLICT DO NOTHING;
  -- Whoever takes one at the same time is passed by.
  SELECT s.slot INTO chosen
  FROM mayfly.backend_slots AS s LEFT JOIN mayfly.leases AS l ON l.id = s.lease_id
  WHERE s.backend_id = backend AND wanted ? s.slot
    AND mayfly.slot_free_at(s, l.state, l.outcome, l.ended_at, l.settle_by) <= now()
  ORDER BY s.generation, s.slot LIMIT 1
  FOR UPDATE OF s SKIP LOCKED;
  IF chosen IS NULL THEN
    SELECT extract(epoch FROM min(CASE
        WHEN l.state = 'ended' OR l.id IS NULL
          THEN mayfly.slot_free_at(s, l.state, l.outcome, l.ended_at, l.settle_by)
        ELSE greatest(l.expires_at, l.settle_by, now()) + s.quarantine END) - now())
      INTO free_in
    FROM mayfly.backend_slots AS s LEFT JOIN mayfly.leases AS l ON l.id = s.lease_id
    WHERE s.backend_id = backend AND wanted ? s.slot AND s.lease_id IS NOT NULL;
    free_in := greatest(coalesce(free_in, 0), 0);
    RETURN;
  END IF;
  UPDATE mayfly.backend_slots AS s
  SET generation = greatest(s.generation + 1,
      floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
    lease_id = lease, taken_at = now(),
    quarantine = make_interval(secs => quarantine_seconds), gone_by = tenant.gone_by
  WHERE s.backend_id = backend AND s.slot = chosen
  RETURNING s.slot, s.generation INTO take_backend_slot.slot, take_backend_slot.generation;
  INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
  VALUES ('lease.slot_taken', '{"kind": "system", "name": "broker"}', tenant.task_id, lease,
    jsonb_build_object('backendId', backend, 'slot', take_backend_slot.slot,
      'generation', take_backend_slot.generation, 'quarantineSeconds', quarantine_seconds));
END
$$;
REVOKE ALL ON FUNCTION mayfly.slot_free_at(
  mayfly.backend_slots, text, text, timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION mayfly.take_backend_slot(text, uuid, jsonb, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mayfly.slot_free_at(
  mayfly.backend_slots, text, text, timestamptz, timestamptz) TO mayfly_broker, mayfly_worker;
GRANT EXECUTE ON FUNCTION mayfly.take_backend_slot(text, uuid, jsonb, double precision)
  TO mayfly_broker, mayfly_worker;

ALTER TABLE mayfly.events DROP CONSTRAINT events_kind_is_known;
ALTER TABLE mayfly.events ADD CONSTRAINT events_kind_is_known CHECK (
  kind IN (
    'task.opened', 'task.heartbeat_proven', 'task.end_requested', 'task.ended',
    'decision.permitted', 'decision.denied', 'lease.reserved', 'lease.slot_taken',
    'lease.activated', 'lease.withheld', 'lease.abandoned', 'lease.renewed', 'lease.ending',
    'lease.recovering', 'lease.retried', 'lease.stuck', 'lease.waiting', 'lease.ended',
    'lease.resurfaced', 'backend.registered', 'backend.updated', 'backend.enabled',
    'backend.disabled', 'backend.deleted', 'role.put', 'role.enabled', 'role.disabled',
    'role.deleted', 'trust.put', 'trust.enabled', 'trust.disabled', 'trust.deleted',
    'policies.activated', 'resource_server.put', 'resource_server.enabled',
    'resource_server.disabled', 'resource_server.deleted', 'signing_key.created',
    'signing_key.retired', 'admin_token.created', 'admin_token.replaced',
    'selector_end.requested', 'selector_end.finished', 'sealing.resealed', 'ledger.cut',
    'ledger.dropped', 'ledger.salted', 'ledger.erased'
  )
) NOT VALID;
