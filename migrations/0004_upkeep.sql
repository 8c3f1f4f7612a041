-- breaking: no
--
-- What has to be done now and then, by roles that may neither create tables nor delete rows: narrow
-- functions that run as the migrator.

-- Makes the partitions of the month before, this one and the next ones; answers how many it made.
-- A month whose rows already went into a default partition is left alone: `rows_in_default` shows
-- it.
CREATE FUNCTION mayfly.ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
  made integer := 0;
  parent text;
  starts timestamptz;
  child text;
BEGIN
  IF months_ahead IS NULL OR months_ahead NOT BETWEEN 1 AND 24 THEN
    RAISE EXCEPTION 'months_ahead: expected 1 to 24' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  FOREACH parent IN ARRAY
    ARRAY['tasks', 'task_end_requests', 'decisions', 'leases', 'events'] LOOP
    FOR ahead IN -1 .. months_ahead LOOP
      starts := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead))
        AT TIME ZONE 'UTC';
      child := format('%s_%s', parent, to_char(starts AT TIME ZONE 'UTC', 'YYYY_MM'));
      CONTINUE WHEN to_regclass('mayfly.' || child) IS NOT NULL;
      BEGIN
        EXECUTE format(
          'CREATE TABLE mayfly.%I PARTITION OF mayfly.%I FOR VALUES FROM (%L) TO (%L)',
          child, parent, mayfly.uuid7_floor(starts),
          mayfly.uuid7_floor(
            (starts AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'));
        IF parent IN ('events', 'decisions') THEN
          EXECUTE format(
            'REVOKE UPDATE, DELETE, TRUNCATE ON mayfly.%I FROM CURRENT_USER', child);
        END IF;
        made := made + 1;
      EXCEPTION
        WHEN duplicate_table OR check_violation OR lock_not_available THEN
          RAISE WARNING 'mayfly: partition % was not made: %', child, SQLERRM;
      END;
    END LOOP;
  END LOOP;
  RETURN made;
END
$$;

-- The alarm: how many rows, at most 1000 for each table, have no partition of their own.
CREATE FUNCTION mayfly.rows_in_default() RETURNS TABLE (table_name text, row_count bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT 'tasks', count(*) FROM (SELECT 1 FROM mayfly.tasks_default LIMIT 1000) AS r
  UNION ALL
  SELECT 'task_end_requests', count(*)
  FROM (SELECT 1 FROM mayfly.task_end_requests_default LIMIT 1000) AS r
  UNION ALL
  SELECT 'decisions', count(*) FROM (SELECT 1 FROM mayfly.decisions_default LIMIT 1000) AS r
  UNION ALL
  SELECT 'leases', count(*) FROM (SELECT 1 FROM mayfly.leases_default LIMIT 1000) AS r
  UNION ALL
  SELECT 'events', count(*) FROM (SELECT 1 FROM mayfly.events_default LIMIT 1000) AS r
$$;

-- The only rows that ever go: idempotency keys and one-time tokens that have expired.
CREATE FUNCTION mayfly.purge_expired(row_limit integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  keys integer;
  tokens integer;
BEGIN
  DELETE FROM mayfly.idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM mayfly.idempotency_keys WHERE expires_at < now()
    ORDER BY expires_at LIMIT least(row_limit, 10000) FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS keys = ROW_COUNT;
  DELETE FROM mayfly.one_time_tokens WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM mayfly.one_time_tokens WHERE expires_at < now()
    ORDER BY expires_at LIMIT least(row_limit, 10000) FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS tokens = ROW_COUNT;
  RETURN keys + tokens;
END
$$;

SELECT mayfly.ensure_partitions(3);
