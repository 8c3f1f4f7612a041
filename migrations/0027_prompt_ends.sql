-- breaking: no
--
-- When what has ended is refused is reckoned from the end's own time, the start of its transaction.
-- So that has to be over soon after: its last statement says so, or all of it is undone.

CREATE FUNCTION mayfly.require_prompt_end(seconds double precision) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF clock_timestamp() - now() > make_interval(secs => seconds) THEN
    -- Of the class of timeouts: it may succeed later.
    RAISE EXCEPTION 'the end took too long' USING ERRCODE = '57014';
  END IF;
END
$$;
REVOKE ALL ON FUNCTION mayfly.require_prompt_end(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mayfly.require_prompt_end(double precision)
  TO mayfly_broker, mayfly_worker;

-- How long the lists of a reading count, and until when those do that were to count for longer:
-- a backend whose lists were made to count for less waits for these too.
ALTER TABLE mayfly.ended_lease_readings
  ADD COLUMN list_seconds double precision NOT NULL DEFAULT 0,
  ADD COLUMN longer_until timestamptz;
GRANT UPDATE (list_seconds, longer_until) ON mayfly.ended_lease_readings
  TO mayfly_broker, mayfly_worker;
