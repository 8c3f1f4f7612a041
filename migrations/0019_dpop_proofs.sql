-- breaking: no
--
-- Which DPoP proofs were used, for as long as any broker would accept them: some minutes. A row is
-- a hash of key and jti, whatever their length; only a request whose caller is known writes one.

CREATE TABLE mayfly.used_proofs (
  sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
  expires_at timestamptz NOT NULL
);
CREATE INDEX used_proofs_expiry ON mayfly.used_proofs (expires_at);

-- Records a use, or answers false where it is on record. Each takes away up to four that have
-- expired, so that the table holds what came within the last minutes and needs no upkeep that might
-- be late.
CREATE FUNCTION mayfly.use_proof(proof bytea, expires timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DELETE FROM mayfly.used_proofs WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM mayfly.used_proofs WHERE expires_at < now()
    ORDER BY expires_at LIMIT 4 FOR UPDATE SKIP LOCKED));
  INSERT INTO mayfly.used_proofs (sha256, expires_at)
  VALUES (proof, least(expires, now() + interval '10 minutes')) ON CONFLICT DO NOTHING;
  RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION mayfly.use_proof(bytea, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mayfly.use_proof(bytea, timestamptz) TO mayfly_broker;
