-- breaking: no
--
-- The log: one order over all events, with a hash chain. An event is queued in the transaction that
-- wrote it and numbered after that committed, so a transaction that commits late loses no place.

CREATE TABLE mayfly.events_pending (
  event_id uuid PRIMARY KEY
);

CREATE TABLE mayfly.log_entries (
  log_index bigint PRIMARY KEY CHECK (log_index >= 0),
  event_id uuid NOT NULL UNIQUE,
  leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
  chain_hash bytea NOT NULL CHECK (octet_length(chain_hash) = 32)
);

-- Whoever holds this row appends; it also says where the log ends, so that a cut tail shows.
CREATE TABLE mayfly.log_head (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  entries bigint NOT NULL,
  chain_hash bytea NOT NULL CHECK (octet_length(chain_hash) = 32)
);
INSERT INTO mayfly.log_head (entries, chain_hash)
VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION mayfly.queue_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO mayfly.events_pending (event_id) SELECT id FROM appended;
  RETURN NULL;
END
$$;

CREATE TRIGGER events_queued AFTER INSERT ON mayfly.events
REFERENCING NEW TABLE AS appended
FOR EACH STATEMENT EXECUTE FUNCTION mayfly.queue_events();

-- Takes from the queue only what has its entry in the log.
CREATE FUNCTION mayfly.clear_sequenced(event_ids uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  cleared integer;
BEGIN
  DELETE FROM mayfly.events_pending AS pending
  USING mayfly.log_entries AS entry
  WHERE pending.event_id = ANY (event_ids) AND entry.event_id = pending.event_id;
  GET DIAGNOSTICS cleared = ROW_COUNT;
  RETURN cleared;
END
$$;
