-- breaking: no
--
-- Who may do what. Nobody but the owner has DELETE or TRUNCATE on anything, nobody at all has
-- UPDATE, DELETE or TRUNCATE on what is only ever appended. UPDATE is granted by column: what says
-- what a task or a lease is, is written once.

REVOKE ALL ON SCHEMA mayfly, mayfly_audit FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mayfly FROM PUBLIC;

GRANT USAGE ON SCHEMA mayfly TO mayfly_broker, mayfly_worker;
GRANT EXECUTE ON FUNCTION mayfly.uuid7(), mayfly.uuid7_floor(timestamptz),
  mayfly.instant(double precision), mayfly.rows_in_default() TO mayfly_broker, mayfly_worker;

GRANT SELECT ON mayfly.schema_versions, mayfly.installation, mayfly.tasks, mayfly.task_end_requests,
  mayfly.decisions, mayfly.leases, mayfly.events, mayfly.events_pending, mayfly.log_entries,
  mayfly.log_head, mayfly.catalog_version, mayfly.backends, mayfly.backend_revisions, mayfly.roles,
  mayfly.trust_roots, mayfly.policy_bundles, mayfly.active_policies, mayfly.sweeps,
  mayfly.ledger_clock TO mayfly_broker, mayfly_worker;

-- Both end tasks and leases, and work on what is due.
GRANT INSERT ON mayfly.events TO mayfly_broker, mayfly_worker;
GRANT INSERT, UPDATE (applied_at) ON mayfly.task_end_requests TO mayfly_broker, mayfly_worker;
GRANT UPDATE (state, ended_at, end_reason) ON mayfly.tasks TO mayfly_broker, mayfly_worker;
GRANT UPDATE (state, version, outcome, end_requested_at, end_reason, ended_at, due_at, work,
  claimed_until, claim_token, attempts, last_error, looked, exposure, sealed_handle)
  ON mayfly.leases TO mayfly_broker, mayfly_worker;
GRANT INSERT ON mayfly.leases TO mayfly_broker, mayfly_worker;
GRANT UPDATE ON mayfly.ledger_clock TO mayfly_broker, mayfly_worker;

-- The broker issues, and keeps the catalogue and the signing keys.
GRANT INSERT ON mayfly.tasks, mayfly.decisions TO mayfly_broker;
GRANT UPDATE (last_heartbeat_at, heartbeat_outage_seconds, identity_proven_at,
  identity_max_age_seconds) ON mayfly.tasks TO mayfly_broker;
GRANT UPDATE (fingerprint, activated_at, expires_at) ON mayfly.leases TO mayfly_broker;
GRANT SELECT, INSERT ON mayfly.idempotency_keys, mayfly.one_time_tokens TO mayfly_broker;
GRANT UPDATE (body_sha256, task_id, generation, expires_at) ON mayfly.idempotency_keys
  TO mayfly_broker;
GRANT UPDATE (expires_at) ON mayfly.one_time_tokens TO mayfly_broker;
GRANT UPDATE ON mayfly.catalog_version, mayfly.active_policies TO mayfly_broker;
GRANT INSERT, UPDATE ON mayfly.backends, mayfly.roles, mayfly.trust_roots TO mayfly_broker;
GRANT INSERT ON mayfly.backend_revisions, mayfly.policy_bundles TO mayfly_broker;
GRANT SELECT, INSERT, UPDATE (verifies_until_at) ON mayfly.signing_keys TO mayfly_broker;
GRANT SELECT, UPDATE ON mayfly.newest_signing_key TO mayfly_broker;

-- The worker sweeps, appends to the log and does the upkeep.
GRANT INSERT, UPDATE ON mayfly.sweeps TO mayfly_worker;
GRANT INSERT ON mayfly.log_entries TO mayfly_worker;
GRANT UPDATE ON mayfly.log_head TO mayfly_worker;
GRANT EXECUTE ON FUNCTION mayfly.clear_sequenced(uuid[]), mayfly.ensure_partitions(integer),
  mayfly.purge_expired(integer) TO mayfly_worker;

GRANT USAGE ON SCHEMA mayfly_audit TO mayfly_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA mayfly_audit TO mayfly_auditor;

REVOKE UPDATE, DELETE, TRUNCATE ON mayfly.events, mayfly.events_default, mayfly.decisions,
  mayfly.decisions_default, mayfly.log_entries FROM CURRENT_USER;
