-- breaking: no
--
-- Old months leave the ledger: exported, then recorded here and in the log, then detached, then
-- dropped, each by the migrator alone. The log is verified from the last cut on. Others read it.

CREATE TABLE mayfly.log_cuts (
  -- The first entry that stays.
  log_index bigint PRIMARY KEY CHECK (log_index > 0),
  -- Chain hash of the entry before it.
  chain_hash bytea NOT NULL CHECK (octet_length(chain_hash) = 32),
  -- Rows of tasks, decisions, leases and end requests with an older id left too.
  kept_from_id uuid NOT NULL,
  -- Of the exported files.
  log_sha256 text NOT NULL CHECK (log_sha256 ~ '^[0-9a-f]{64}$'),
  rows_sha256 text NOT NULL CHECK (rows_sha256 ~ '^[0-9a-f]{64}$'),
  cut_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON mayfly.log_cuts TO mayfly_broker, mayfly_worker;

CREATE VIEW mayfly_audit.log_cuts AS
SELECT log_index, chain_hash, kept_from_id, log_sha256, rows_sha256, cut_at FROM mayfly.log_cuts;
GRANT SELECT ON mayfly_audit.log_cuts TO mayfly_auditor, mayfly_broker, mayfly_worker;

ALTER TABLE mayfly.events DROP CONSTRAINT events_kind_is_known;
ALTER TABLE mayfly.events ADD CONSTRAINT events_kind_is_known CHECK (
  kind IN (
    'task.opened', 'task.heartbeat_proven', 'task.end_requested', 'task.ended',
    'decision.permitted', 'decision.denied', 'lease.reserved', 'lease.activated',
    'lease.withheld', 'lease.abandoned', 'lease.renewed', 'lease.ending', 'lease.recovering',
    'lease.retried', 'lease.stuck', 'lease.waiting', 'lease.ended', 'lease.resurfaced',
    'backend.registered', 'backend.updated', 'backend.enabled', 'backend.disabled',
    'backend.deleted', 'role.put', 'role.enabled', 'role.disabled', 'role.deleted', 'trust.put',
    'trust.enabled', 'trust.disabled', 'trust.deleted', 'policies.activated',
    'signing_key.created', 'signing_key.retired', 'admin_token.created', 'admin_token.replaced',
    'selector_end.requested', 'selector_end.finished', 'sealing.resealed', 'ledger.cut',
    'ledger.dropped'
  )
) NOT VALID;
