-- breaking: no
--
-- What the checks of the history cost. PostgreSQL reads and plans a table's CHECK expressions anew
-- for each statement that writes to it: seven of a lease, four ids of an event of which each was
-- an expression in place of a call, a list of all kinds. That was more than writing the row. A
-- function of plpgsql is planned once in a session, and not put in place of its call. What is
-- refused is as it was; rows from before are left as they are.

-- Version and variant of RFC 9562 section 4, of each that is not null.
CREATE FUNCTION mayfly.are_uuid7(a uuid, b uuid, c uuid, d uuid) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN
    (a IS NULL
      OR get_byte(uuid_send(a), 6) & 240 = 112 AND get_byte(uuid_send(a), 8) & 192 = 128)
    AND (b IS NULL
      OR get_byte(uuid_send(b), 6) & 240 = 112 AND get_byte(uuid_send(b), 8) & 192 = 128)
    AND (c IS NULL
      OR get_byte(uuid_send(c), 6) & 240 = 112 AND get_byte(uuid_send(c), 8) & 192 = 128)
    AND (d IS NULL
      OR get_byte(uuid_send(d), 6) & 240 = 112 AND get_byte(uuid_send(d), 8) & 192 = 128);
END
$$;

CREATE FUNCTION mayfly.is_event_kind(kind text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN kind IN (
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
  );
END
$$;

CREATE FUNCTION mayfly.is_task_state(state text, has_ended boolean) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN state IN ('active', 'completed', 'failed', 'cancelled', 'expired', 'killed')
    AND has_ended = (state <> 'active');
END
$$;

-- An ended lease has an instant and an outcome, an active one a handle to be revoked by.
CREATE FUNCTION mayfly.is_lease_state(
  state text, outcome text, work text, has_ended boolean, has_handle boolean
) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN state IN ('reserved', 'active', 'ending', 'ended', 'stuck')
    AND (outcome IS NULL OR outcome IN ('revoked', 'expired', 'absent', 'abandoned'))
    AND work IN ('revoke', 'recover')
    AND has_ended = (state = 'ended')
    AND has_ended = (outcome IS NOT NULL)
    AND (state <> 'active' OR work = 'revoke')
    AND (work <> 'revoke' OR has_handle);
END
$$;

-- Whoever writes a row runs its checks.
REVOKE EXECUTE ON FUNCTION mayfly.are_uuid7(uuid, uuid, uuid, uuid),
  mayfly.is_event_kind(text), mayfly.is_task_state(text, boolean),
  mayfly.is_lease_state(text, text, text, boolean, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mayfly.are_uuid7(uuid, uuid, uuid, uuid),
  mayfly.is_event_kind(text), mayfly.is_task_state(text, boolean),
  mayfly.is_lease_state(text, text, text, boolean, boolean) TO mayfly_broker, mayfly_worker;

ALTER TABLE mayfly.tasks
  DROP CONSTRAINT tasks_ids_are_uuid7,
  DROP CONSTRAINT tasks_state_check,
  DROP CONSTRAINT tasks_check1,
  ADD CONSTRAINT tasks_ids_are_uuid7
    CHECK (mayfly.are_uuid7(id, parent_id, root_id, NULL)) NOT VALID,
  ADD CONSTRAINT tasks_state_is_whole
    CHECK (mayfly.is_task_state(state, ended_at IS NOT NULL)) NOT VALID;

ALTER TABLE mayfly.decisions
  DROP CONSTRAINT decisions_ids_are_uuid7,
  ADD CONSTRAINT decisions_ids_are_uuid7
    CHECK (mayfly.are_uuid7(id, task_id, NULL, NULL)) NOT VALID;

ALTER TABLE mayfly.leases
  DROP CONSTRAINT leases_ids_are_uuid7,
  DROP CONSTRAINT leases_state_check,
  DROP CONSTRAINT leases_outcome_check,
  DROP CONSTRAINT leases_work_check,
  DROP CONSTRAINT leases_check,
  DROP CONSTRAINT leases_check1,
  DROP CONSTRAINT leases_check2,
  DROP CONSTRAINT leases_check3,
  ADD CONSTRAINT leases_ids_are_uuid7
    CHECK (mayfly.are_uuid7(id, task_id, decision_id, NULL)) NOT VALID,
  ADD CONSTRAINT leases_state_is_whole
    CHECK (mayfly.is_lease_state(state, outcome, work, ended_at IS NOT NULL,
      sealed_handle IS NOT NULL)) NOT VALID;

ALTER TABLE mayfly.events
  DROP CONSTRAINT events_ids_are_uuid7,
  DROP CONSTRAINT events_kind_is_known,
  ADD CONSTRAINT events_ids_are_uuid7
    CHECK (mayfly.are_uuid7(id, task_id, lease_id, decision_id)) NOT VALID,
  ADD CONSTRAINT events_kind_is_known CHECK (mayfly.is_event_kind(kind)) NOT VALID;

DROP FUNCTION mayfly.is_uuid7(uuid);
