-- breaking: no
--
-- A budget keeps nobody waiting for what its row says of another rate or of a clock that was set
-- back since: debts count up to the longest wait at the rate that asks, what was filled later than
-- now was filled now, even where nothing is drawn, and ends have the bound of their own pauses.

CREATE OR REPLACE FUNCTION mayfly.draw_backend_budget(
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
  -- Not before the row is ours.
  now_at := clock_timestamp();
  -- Written even if nobody draws: or whoever asks again would find it as it was, and never draw.
  IF budget.filled_at > now_at OR budget.tokens < -per_second * wait_seconds_max THEN
    budget.filled_at := least(budget.filled_at, now_at);
    budget.tokens := greatest(budget.tokens, -per_second * wait_seconds_max);
    UPDATE mayfly.backend_budgets SET tokens = budget.tokens, filled_at = budget.filled_at
    WHERE backend_id = backend;
  END IF;
  held := least(burst, budget.tokens
    + per_second * extract(epoch FROM now_at - budget.filled_at)::double precision);
  pause_seconds := extract(epoch FROM CASE
    WHEN is_for_ends THEN budget.ends_paused_until ELSE budget.mints_paused_until END - now_at);
  -- A pause that is longer than the longest is of a clock that was set back, and is none.
  IF pause_seconds IS NULL OR pause_seconds < 0
    OR pause_seconds > (CASE WHEN is_for_ends THEN 10 ELSE 300 END) THEN
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
