-- breaking: no
--
-- Activations in one call: asked and answered once, where to lock, to read and then to write took
-- six answers and two waits. Each statement of it sees what was committed before it began, as each
-- of a transaction does.

-- Locks the tasks of these leases and all above them against their end, as exchanges do: without
-- waiting, but with `waits`; and none below which an end was asked for.
CREATE FUNCTION mayfly.lock_lease_tasks(leases uuid[], waits boolean) RETURNS uuid[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wanted uuid[];
  held uuid[];
BEGIN
  SELECT array_agg(DISTINCT u.id) INTO wanted
  FROM mayfly.leases AS l JOIN mayfly.tasks AS t ON t.id = l.task_id,
    LATERAL unnest(t.ancestors || t.id) AS u (id)
  WHERE l.id = ANY (leases)
    AND NOT EXISTS (
      SELECT FROM mayfly.task_end_requests AS r WHERE r.task_id = ANY (t.ancestors || t.id));
  IF waits THEN
    SELECT array_agg(h.id) INTO held FROM (
      SELECT t.id FROM mayfly.tasks AS t WHERE t.id = ANY (wanted)
      ORDER BY t.depth, t.id FOR KEY SHARE OF t) AS h;
  ELSE
    SELECT array_agg(h.id) INTO held FROM (
      SELECT t.id FROM mayfly.tasks AS t WHERE t.id = ANY (wanted)
      ORDER BY t.depth, t.id FOR KEY SHARE OF t SKIP LOCKED) AS h;
  END IF;
  RETURN coalesce(held, '{}');
END
$$;

-- What became of each: `active`; `withheld`, since its end or its task's was asked for; `refused`,
-- since it is no longer what it was reserved as; or `alone`, since somebody holds what it needs.
CREATE FUNCTION mayfly.activate_leases(wanted jsonb, waits boolean, lock_ms integer)
RETURNS TABLE (lease uuid, became text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  ids uuid[];
  held_tasks uuid[];
  held_leases uuid[];
BEGIN
  PERFORM set_config('lock_timeout', lock_ms::text, true);
  SELECT array_agg((w ->> 'id')::uuid) INTO ids FROM jsonb_array_elements(wanted) AS w;
  held_tasks := mayfly.lock_lease_tasks(ids, waits);
  IF waits THEN
    SELECT array_agg(h.id) INTO held_leases FROM (
      SELECT l.id FROM mayfly.leases AS l WHERE l.id = ANY (ids)
      ORDER BY l.id FOR NO KEY UPDATE OF l) AS h;
  ELSE
    SELECT array_agg(h.id) INTO held_leases FROM (
      SELECT l.id FROM mayfly.leases AS l WHERE l.id = ANY (ids)
      ORDER BY l.id FOR NO KEY UPDATE OF l SKIP LOCKED) AS h;
  END IF;
  RETURN QUERY
  WITH found AS MATERIALIZED (
    SELECT l.id, l.task_id, l.state, l.version, l.end_requested_at IS NOT NULL AS end_requested,
      coalesce(t.ancestors || t.id, '{}') AS path,
      coalesce(t.state = 'active', true)
        AND NOT EXISTS (
          SELECT FROM mayfly.task_end_requests AS r WHERE r.task_id = ANY (t.ancestors || t.id))
        AND NOT EXISTS (
          SELECT FROM mayfly.tasks AS a WHERE a.id = ANY (t.ancestors) AND a.state <> 'active')
        AS task_open
    FROM mayfly.leases AS l LEFT JOIN mayfly.tasks AS t ON t.id = l.task_id
    WHERE l.id = ANY (ids)
  ), judged AS MATERIALIZED (
    SELECT w.id, w.version, w.handle, w.fingerprint, w.exposure, w.expires_ms, w.data, f.task_id,
      CASE
        WHEN f.state IS DISTINCT FROM 'reserved' OR f.version IS DISTINCT FROM w.version
          THEN 'refused'
        WHEN NOT w.id = ANY (coalesce(held_leases, '{}'))
          THEN CASE WHEN waits THEN 'refused' ELSE 'alone' END
        WHEN f.end_requested OR NOT f.task_open THEN 'withheld'
        WHEN f.path <@ held_tasks THEN 'active'
        WHEN waits THEN 'withheld'
        ELSE 'alone'
      END AS became
    FROM jsonb_to_recordset(wanted) AS w (
        id uuid, version integer, handle text, fingerprint text, exposure jsonb,
        expires_ms double precision, data jsonb)
      LEFT JOIN found AS f ON f.id = w.id
  ), told AS (
    INSERT INTO mayfly.events (kind, actor, task_id, lease_id, data)
    SELECT CASE j.became WHEN 'active' THEN 'lease.activated' ELSE 'lease.withheld' END,
      '{"kind": "system", "name": "broker"}', j.task_id, j.id,
      CASE j.became WHEN 'active' THEN j.data ELSE j.data || jsonb_build_object('reason',
        'the end of the task or of the lease was requested meanwhile') END
    FROM judged AS j WHERE j.became IN ('active', 'withheld')
  ), written AS (
    UPDATE mayfly.leases AS l
    SET state = CASE j.became WHEN 'active' THEN 'active' ELSE 'ending' END,
      version = l.version + 1, work = 'revoke', sealed_handle = decode(j.handle, 'hex'),
      fingerprint = j.fingerprint, exposure = j.exposure,
      activated_at = CASE j.became WHEN 'active' THEN now() END,
      expires_at = mayfly.instant(j.expires_ms),
      end_requested_at = CASE j.became
        WHEN 'active' THEN l.end_requested_at ELSE coalesce(l.end_requested_at, now()) END,
      end_reason = CASE j.became WHEN 'active' THEN l.end_reason
        ELSE coalesce(l.end_reason, 'the task was ended before the credential was handed out') END,
      due_at = CASE j.became WHEN 'active' THEN mayfly.instant(j.expires_ms) ELSE now() END
    FROM judged AS j
    WHERE l.id = ANY (ids) AND l.id = j.id AND l.state = 'reserved' AND l.version = j.version
      AND j.became IN ('active', 'withheld')
  )
  SELECT j.id, j.became FROM judged AS j;
END
$$;

REVOKE ALL ON FUNCTION mayfly.lock_lease_tasks(uuid[], boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION mayfly.activate_leases(jsonb, boolean, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mayfly.lock_lease_tasks(uuid[], boolean) TO mayfly_broker;
GRANT EXECUTE ON FUNCTION mayfly.activate_leases(jsonb, boolean, integer) TO mayfly_broker;
