-- breaking: no
--
-- The bootstrap administrator's token: 256 random bits that are printed once, so that a plain hash
-- of them is all that is kept. The broker compares; only the migrator makes a new one.

CREATE TABLE mayfly.bootstrap_token (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON mayfly.bootstrap_token TO mayfly_broker;
