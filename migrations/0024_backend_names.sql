-- breaking: no
--
-- Names that backends give out where the upstream keeps none: it cannot list them, and refuses one
-- only where it is written into a document that many leases share, a place. A name is taken before
-- its mint is sent, and refused before the upstream hears of its end.

CREATE TABLE mayfly.backend_names (
  backend_id text NOT NULL,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  place text NOT NULL CHECK (length(place) BETWEEN 1 AND 512),
  -- Null: no mint was sent under it, and none can be any more.
  taken_at timestamptz,
  refused_at timestamptz,
  -- Since when the upstream was seen to refuse it.
  seen_at timestamptz,
  -- When whatever bears the name has died by itself.
  until timestamptz NOT NULL,
  PRIMARY KEY (backend_id, name)
);
CREATE INDEX backend_names_place ON mayfly.backend_names (backend_id, place, until);
CREATE INDEX backend_names_until ON mayfly.backend_names (until);

-- Whose turn it is to rewrite a place. The number of a turn is never used again.
CREATE TABLE mayfly.backend_places (
  backend_id text NOT NULL,
  place text NOT NULL CHECK (length(place) BETWEEN 1 AND 512),
  turn bigint NOT NULL,
  held_until timestamptz NOT NULL,
  PRIMARY KEY (backend_id, place)
);
CREATE SEQUENCE mayfly.backend_place_turns;

GRANT SELECT, INSERT, UPDATE (refused_at, seen_at, until)
  ON mayfly.backend_names TO mayfly_broker, mayfly_worker;
GRANT SELECT, INSERT, UPDATE (turn, held_until)
  ON mayfly.backend_places TO mayfly_broker, mayfly_worker;
GRANT USAGE ON SEQUENCE mayfly.backend_place_turns TO mayfly_broker, mayfly_worker;

-- Counts and takes under one lock, so that a place never has more names than it can refuse. Each
-- call takes away up to four that have been over for two days, so that no upkeep is needed; nobody
-- asks for one by then, as the lease of each is over for longer than any mint may be late.
CREATE FUNCTION mayfly.take_backend_name(
  backend text, given text, at_place text, over_at timestamptz, most integer
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(backend || ' ' || at_place, 24));
  DELETE FROM mayfly.backend_names WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM mayfly.backend_names WHERE until < now() - interval '2 days'
    ORDER BY until LIMIT 4 FOR UPDATE SKIP LOCKED));
  IF EXISTS (SELECT FROM mayfly.backend_names WHERE backend_id = backend AND name = given) THEN
    RETURN 'known';
  END IF;
  IF (SELECT count(*) FROM mayfly.backend_names
      WHERE backend_id = backend AND place = at_place AND until > now()
        AND taken_at IS NOT NULL) >= most THEN
    RETURN 'full';
  END IF;
  INSERT INTO mayfly.backend_names (backend_id, name, place, taken_at, until)
  VALUES (backend, given, at_place, now(), over_at) ON CONFLICT DO NOTHING;
  RETURN CASE WHEN FOUND THEN 'taken' ELSE 'known' END;
END
$$;
REVOKE ALL ON FUNCTION mayfly.take_backend_name(text, text, text, timestamptz, integer)
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mayfly.take_backend_name(text, text, text, timestamptz, integer)
  TO mayfly_broker, mayfly_worker;
