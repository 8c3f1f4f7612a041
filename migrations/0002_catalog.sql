-- breaking: no
--
-- What platform teams register, the signing keys, and the clocks of the sweeps. Nothing is deleted:
-- what is gone has `deleted_at`.

-- Raised by each change of the catalogue; a reservation that was decided on an older one is
-- refused.
CREATE TABLE mayfly.catalog_version (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  version bigint NOT NULL
);
INSERT INTO mayfly.catalog_version (version) VALUES (0);

CREATE TABLE mayfly.backends (
  id text PRIMARY KEY,
  type text NOT NULL,
  revision integer NOT NULL,
  enabled boolean NOT NULL,
  upstream_identity text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz,
  -- While a deletion or a change of identity looks for live leases: nothing is reserved here.
  closing_until timestamptz
);

CREATE TABLE mayfly.backend_revisions (
  backend_id text NOT NULL,
  revision integer NOT NULL,
  type text NOT NULL,
  sealed_config bytea NOT NULL,
  described_config jsonb NOT NULL,
  upstream_identity text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (backend_id, revision)
);

CREATE TABLE mayfly.roles (
  name text PRIMARY KEY,
  backend_id text NOT NULL REFERENCES mayfly.backends (id),
  definition jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz
);
CREATE INDEX roles_backend ON mayfly.roles (backend_id) WHERE deleted_at IS NULL;

CREATE TABLE mayfly.trust_roots (
  name text PRIMARY KEY,
  definition jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz
);

CREATE TABLE mayfly.policy_bundles (
  digest text PRIMARY KEY,
  sources jsonb NOT NULL,
  stored_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE mayfly.active_policies (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  digest text REFERENCES mayfly.policy_bundles (digest),
  activated_at timestamptz
);
INSERT INTO mayfly.active_policies DEFAULT VALUES;

CREATE TABLE mayfly.signing_keys (
  kid text PRIMARY KEY,
  public_jwk jsonb NOT NULL,
  sealed_private_jwk bytea NOT NULL,
  created_at timestamptz NOT NULL,
  signs_from_at timestamptz NOT NULL,
  verifies_until_at timestamptz,
  added integer GENERATED ALWAYS AS IDENTITY
);

CREATE TABLE mayfly.newest_signing_key (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  kid text REFERENCES mayfly.signing_keys (kid)
);
INSERT INTO mayfly.newest_signing_key DEFAULT VALUES;

-- `backend_id` is empty for the sweep over the ledger's own rows.
CREATE TABLE mayfly.sweeps (
  backend_id text PRIMARY KEY,
  finished_at timestamptz NOT NULL
);

-- Ticks while the ledger accepts writes; what it misses is an outage, in which nobody was idle.
CREATE TABLE mayfly.ledger_clock (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  ticked_at timestamptz NOT NULL DEFAULT now(),
  outage_seconds double precision NOT NULL DEFAULT 0
);
INSERT INTO mayfly.ledger_clock DEFAULT VALUES;
