-- breaking: no
--
-- How many calls all processes of an installation may still begin at a backend whose configuration
-- has a rate: one token bucket for all of them. Versions before this one keep a rate of their own
-- in each process and do not look here.

CREATE TABLE mayfly.backend_budgets (
  backend_id text PRIMARY KEY,
  -- Below zero: promised to ends, which wait for it.
  tokens double precision NOT NULL,
  filled_at timestamptz NOT NULL,
  -- Until when nobody draws, since the upstream asked for fewer calls; ends wait less long.
  mints_paused_until timestamptz,
  ends_paused_until timestamptz
);
GRANT SELECT, INSERT, UPDATE (tokens, filled_at, mints_paused_until, ends_paused_until)
  ON mayfly.backend_budgets TO mayfly_broker, mayfly_worker;

-- One statement, so that a process which is frozen holds up nobody. Drawn: how many, and in how
-- many seconds they may be used; none: in how many to ask again, and whether that is for a pause.
CREATE FUNCTION mayfly.draw_backend_budget(
  backend text, is_for_ends boolean, wanted integer, per_second double precision,
  burst double precision, kept_for_ends double precision, wait_seconds_max double precision,
  OUT drawn integer, OUT in_seconds double precision, OUT is_paused boolean
) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  budget mayfly.backend_budgets;
  now_at timestamptz;
  held double precision;
  pause_seconds double precision;
BEGIN
  -- A server that crashes gives back what was drawn in its last moments: not worth a flush.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT * INTO budget FROM mayfly.backend_budgets AS b WHERE b.backend_id = backend FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO mayfly.backend_budgets (backend_id, tokens, filled_at)
    VALUES (backend, burst, clock_timestamp()) ON CONFLICT DO NOTHING;
    SELECT * INTO budget FROM mayfly.backend_budgets AS b WHERE b.backend_id = backend FOR UPDATE;
  END IF;
  -- Not before the row is ours. Where the clock was set back, nothing has come since, and a pause
  -- that is longer than the five minutes of the longest is none.
  now_at := clock_timestamp();
  held := least(burst, budget.tokens
    + per_second * greatest(0, extract(epoch FROM now_at - budget.filled_at)::double precision));
  pause_seconds := extract(epoch FROM CASE
    WHEN is_for_ends THEN budget.ends_paused_until ELSE budget.mints_paused_until END - now_at);
  IF pause_seconds IS NULL OR pause_seconds < 0 OR pause_seconds > 300 THEN
    pause_seconds := 0;
  END IF;
  drawn := 0;
  is_paused := false;
  IF is_for_ends THEN
    in_seconds := greatest(0, (wanted - held) / per_second);
    IF in_seconds > wait_seconds_max THEN
      in_seconds := in_seconds - wait_seconds_max;
      RETURN;
    END IF;
    drawn := wanted;
    in_seconds := greatest(in_seconds, pause_seconds);
  ELSIF pause_seconds > 0 THEN
    in_seconds := pause_seconds;
    is_paused := true;
    RETURN;
  ELSE
    -- What is a billionth short of a whole one is one.
    drawn := least(wanted, greatest(0, floor(held - kept_for_ends + 1e-9)::integer));
    in_seconds := 0;
    IF drawn = 0 THEN
      in_seconds := (1 + kept_for_ends - held) / per_second;
      RETURN;
    END IF;
  END IF;
  UPDATE mayfly.backend_budgets SET tokens = held - drawn, filled_at = now_at
  WHERE backend_id = backend;
END
$$;
REVOKE ALL ON FUNCTION mayfly.draw_backend_budget(
  text, boolean, integer, double precision, double precision, double precision, double precision
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mayfly.draw_backend_budget(
  text, boolean, integer, double precision, double precision, double precision, double precision
) TO mayfly_broker, mayfly_worker;
