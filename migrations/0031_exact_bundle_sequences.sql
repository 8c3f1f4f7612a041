-- breaking: no
--
-- A bundle's sequence is an unsigned 64-bit integer. A double takes two above 2^53 that differ by
-- one for the same, so that the older one of two bundles counted as the newer.
--
-- Versions before this one know `sequence` alone, the double, and may run beside this one: a
-- trigger keeps the two columns in step. A later version takes that column away, and the trigger.

ALTER TABLE mayfly.bundle_sequences
  -- Null once the trust root was deleted.
  ADD COLUMN sequence_number numeric(20, 0)
    CHECK (sequence_number BETWEEN 0 AND 18446744073709551615);
GRANT UPDATE (sequence_number) ON mayfly.bundle_sequences TO mayfly_broker;

-- What a double stands for was rounded, perhaps upwards: above 2^53 it counts as less than that by
-- one part in 2^52, or the bundle that was seen would itself be refused as an older one.
CREATE FUNCTION mayfly.least_bundle_sequence(seen double precision) RETURNS numeric
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  -- By its text: a cast from a double keeps fifteen digits.
  SELECT least(18446744073709551615, floor(CASE
    WHEN seen < 9007199254740992 THEN seen::text::numeric
    ELSE seen::text::numeric * (1 - 1 / 4503599627370496::numeric)
  END))
$$;
REVOKE ALL ON FUNCTION mayfly.least_bundle_sequence(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mayfly.least_bundle_sequence(double precision) TO mayfly_broker;

UPDATE mayfly.bundle_sequences SET sequence_number = mayfly.least_bundle_sequence(sequence)
WHERE sequence IS NOT NULL;

CREATE FUNCTION mayfly.keep_bundle_sequences_in_step() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  before numeric;
  rounded double precision;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    before := OLD.sequence_number;
    rounded := OLD.sequence;
  END IF;
  IF NEW.sequence_number IS DISTINCT FROM before THEN
    NEW.sequence := NEW.sequence_number::double precision;
  ELSIF NEW.sequence IS NULL THEN
    NEW.sequence_number := NULL;
  ELSIF NEW.sequence IS DISTINCT FROM rounded THEN
    NEW.sequence_number := greatest(before, mayfly.least_bundle_sequence(NEW.sequence));
  END IF;
  RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION mayfly.keep_bundle_sequences_in_step() FROM PUBLIC;
CREATE TRIGGER keep_bundle_sequences_in_step BEFORE INSERT OR UPDATE ON mayfly.bundle_sequences
  FOR EACH ROW EXECUTE FUNCTION mayfly.keep_bundle_sequences_in_step();
