-- breaking: no
--
-- What `mayfly ledger verify` reads. The auditor has views alone and verifies with them; broker and
-- worker read the same ones, so that there is one verifier.

CREATE VIEW mayfly_audit.schema_versions AS
SELECT version, name, checksum, breaking, applied_at FROM mayfly.schema_versions;

CREATE VIEW mayfly_audit.installation AS SELECT id, created_at FROM mayfly.installation;

CREATE VIEW mayfly_audit.log_entries AS
SELECT log_index, event_id, leaf_hash, chain_hash FROM mayfly.log_entries;

CREATE VIEW mayfly_audit.events_pending AS SELECT event_id FROM mayfly.events_pending;

GRANT SELECT ON mayfly_audit.schema_versions, mayfly_audit.installation,
  mayfly_audit.log_entries, mayfly_audit.events_pending TO mayfly_auditor;

GRANT USAGE ON SCHEMA mayfly_audit TO mayfly_broker, mayfly_worker;
GRANT SELECT ON mayfly_audit.log_head, mayfly_audit.log_entries, mayfly_audit.events_pending,
  mayfly_audit.events, mayfly_audit.decisions, mayfly_audit.leases TO mayfly_broker, mayfly_worker;
