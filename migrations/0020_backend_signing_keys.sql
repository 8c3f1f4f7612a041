-- breaking: no
--
-- Keys of the backends that sign what they issue, each backend's apart: none of them signs a task
-- token, and a key of task tokens signs for no backend. Nothing is deleted.

CREATE TABLE mayfly.backend_signing_keys (
  backend_id text NOT NULL,
  kid text NOT NULL,
  public_jwk jsonb NOT NULL,
  sealed_private_jwk bytea NOT NULL,
  created_at timestamptz NOT NULL,
  signs_from_at timestamptz NOT NULL,
  verifies_until_at timestamptz,
  added integer GENERATED ALWAYS AS IDENTITY,
  PRIMARY KEY (backend_id, kid)
);

-- What two brokers that rotate at once compare and swap.
CREATE TABLE mayfly.newest_backend_signing_key (
  backend_id text PRIMARY KEY,
  kid text,
  FOREIGN KEY (backend_id, kid) REFERENCES mayfly.backend_signing_keys (backend_id, kid)
);

GRANT SELECT, INSERT, UPDATE (sealed_private_jwk, verifies_until_at)
  ON mayfly.backend_signing_keys TO mayfly_broker;
GRANT SELECT, INSERT, UPDATE ON mayfly.newest_backend_signing_key TO mayfly_broker;

CREATE VIEW mayfly_audit.backend_signing_keys AS
SELECT backend_id, kid, public_jwk, created_at, signs_from_at, verifies_until_at
FROM mayfly.backend_signing_keys;
GRANT SELECT ON mayfly_audit.backend_signing_keys TO mayfly_auditor;

COMMENT ON VIEW mayfly_audit.backend_signing_keys IS
  'Public halves of the keys that backends sign with what they issue.';
COMMENT ON COLUMN mayfly_audit.backend_signing_keys.backend_id IS
  'The backend, whose key it is alone.';
COMMENT ON COLUMN mayfly_audit.backend_signing_keys.kid IS
  'Id of the key.';
COMMENT ON COLUMN mayfly_audit.backend_signing_keys.public_jwk IS
  'The public key, as a JWK (RFC 7517).';
COMMENT ON COLUMN mayfly_audit.backend_signing_keys.created_at IS
  'When it was made.';
COMMENT ON COLUMN mayfly_audit.backend_signing_keys.signs_from_at IS
  'From when it signs.';
COMMENT ON COLUMN mayfly_audit.backend_signing_keys.verifies_until_at IS
  'Until when it verifies; null for the newest.';
