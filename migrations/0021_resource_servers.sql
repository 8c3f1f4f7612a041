-- breaking: no
--
-- Servers of APIs that may ask whether a token counts (RFC 7662), registered as roles and trust
-- roots are.

CREATE TABLE mayfly.resource_servers (
  name text PRIMARY KEY,
  definition jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz,
  revision integer NOT NULL DEFAULT 1
);
CREATE TRIGGER count_revision BEFORE UPDATE ON mayfly.resource_servers
  FOR EACH ROW EXECUTE FUNCTION mayfly.count_revision();
GRANT SELECT ON mayfly.resource_servers TO mayfly_broker, mayfly_worker;
GRANT INSERT, UPDATE ON mayfly.resource_servers TO mayfly_broker;

CREATE VIEW mayfly_audit.resource_servers AS
SELECT name, definition, updated_at, deleted_at, revision FROM mayfly.resource_servers;
GRANT SELECT ON mayfly_audit.resource_servers TO mayfly_auditor;
COMMENT ON VIEW mayfly_audit.resource_servers IS
  'Servers that may introspect tokens, as they are registered now, deleted ones too.';
COMMENT ON COLUMN mayfly_audit.resource_servers.name IS
  'Name of the resource server.';
COMMENT ON COLUMN mayfly_audit.resource_servers.definition IS
  'Who it is, and the audiences of the tokens that are for it, as JSON.';
COMMENT ON COLUMN mayfly_audit.resource_servers.updated_at IS
  'When it last changed.';
COMMENT ON COLUMN mayfly_audit.resource_servers.deleted_at IS
  'When it was deleted; null while it is registered.';
COMMENT ON COLUMN mayfly_audit.resource_servers.revision IS
  'Counts its changes.';

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
    'resource_server.put', 'resource_server.enabled', 'resource_server.disabled',
    'resource_server.deleted', 'signing_key.created', 'signing_key.retired', 'admin_token.created',
    'admin_token.replaced',
    'selector_end.requested', 'selector_end.finished', 'sealing.resealed', 'ledger.cut',
    'ledger.dropped', 'ledger.salted', 'ledger.erased'
  )
) NOT VALID;
