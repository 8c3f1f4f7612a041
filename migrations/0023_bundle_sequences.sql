-- breaking: no
--
-- The highest sequence that was seen of each trust bundle. A process that starts, or another one,
-- knows by it that a bundle is older than one that was seen: an authority that was taken out of it,
-- because it leaked, does not come back with a restart.

CREATE TABLE mayfly.bundle_sequences (
  trust_root text NOT NULL,
  -- Of trust domain and address: where another one is configured, its sequence is another.
  source_sha256 bytea NOT NULL CHECK (octet_length(source_sha256) = 32),
  -- A JSON number. Null once the trust root was deleted.
  sequence double precision,
  seen_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (trust_root, source_sha256)
);
GRANT SELECT, INSERT, UPDATE (sequence, seen_at) ON mayfly.bundle_sequences TO mayfly_broker;
