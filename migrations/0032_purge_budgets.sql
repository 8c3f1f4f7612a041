-- breaking: no
--
-- What is purged as it expires has the budgets of backends that are gone: of one that was deleted,
-- or that never came to be, as whoever checks a configuration draws by its rate. Not before an hour
-- in which nobody drew and no pause was on, so that no budget is begun anew while it counts.

CREATE OR REPLACE FUNCTION mayfly.purge_expired(row_limit integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  keys integer;
  tokens integer;
  budgets integer;
BEGIN
  DELETE FROM mayfly.idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM mayfly.idempotency_keys WHERE expires_at < now()
    ORDER BY expires_at LIMIT least(row_limit, 10000) FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS keys = ROW_COUNT;
  DELETE FROM mayfly.one_time_tokens WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM mayfly.one_time_tokens WHERE expires_at < now()
    ORDER BY expires_at LIMIT least(row_limit, 10000) FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS tokens = ROW_COUNT;
  DELETE FROM mayfly.backend_budgets WHERE ctid = ANY (ARRAY(
    SELECT g.ctid FROM mayfly.backend_budgets AS g
    WHERE greatest(g.filled_at, g.mints_paused_until, g.ends_paused_until)
        < now() - interval '1 hour'
      AND NOT EXISTS (
        SELECT FROM mayfly.backends AS b WHERE b.id = g.backend_id AND b.deleted_at IS NULL)
    LIMIT least(row_limit, 10000) FOR UPDATE OF g SKIP LOCKED));
  GET DIAGNOSTICS budgets = ROW_COUNT;
  RETURN keys + tokens + budgets;
END
$$;
