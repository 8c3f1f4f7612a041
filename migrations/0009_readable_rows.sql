-- breaking: no
--
-- What no reader could make sense of is not written in the first place: an id that is no UUIDv7, a
-- kind of event that there is not. Rows from before are left as they are, and readers pass over
-- them. An event's id and instant are the server's to give, so nobody may choose its place.

ALTER TABLE mayfly.tasks ADD CONSTRAINT tasks_ids_are_uuid7 CHECK (
  id::text ~ '^.{14}7.{4}[89ab]'
  AND coalesce(parent_id, id)::text ~ '^.{14}7.{4}[89ab]'
  AND root_id::text ~ '^.{14}7.{4}[89ab]'
) NOT VALID;

ALTER TABLE mayfly.decisions ADD CONSTRAINT decisions_ids_are_uuid7 CHECK (
  id::text ~ '^.{14}7.{4}[89ab]'
  AND coalesce(task_id, id)::text ~ '^.{14}7.{4}[89ab]'
) NOT VALID;

ALTER TABLE mayfly.leases ADD CONSTRAINT leases_ids_are_uuid7 CHECK (
  id::text ~ '^.{14}7.{4}[89ab]'
  AND coalesce(task_id, id)::text ~ '^.{14}7.{4}[89ab]'
  AND coalesce(decision_id, id)::text ~ '^.{14}7.{4}[89ab]'
) NOT VALID;

ALTER TABLE mayfly.events ADD CONSTRAINT events_ids_are_uuid7 CHECK (
  id::text ~ '^.{14}7.{4}[89ab]'
  AND coalesce(task_id, id)::text ~ '^.{14}7.{4}[89ab]'
  AND coalesce(lease_id, id)::text ~ '^.{14}7.{4}[89ab]'
  AND coalesce(decision_id, id)::text ~ '^.{14}7.{4}[89ab]'
) NOT VALID;

ALTER TABLE mayfly.events ADD CONSTRAINT events_kind_is_known CHECK (
  kind IN (
    'task.opened', 'task.heartbeat_proven', 'task.end_requested', 'task.ended',
    'decision.permitted', 'decision.denied', 'lease.reserved', 'lease.activated',
    'lease.withheld', 'lease.abandoned', 'lease.renewed', 'lease.ending', 'lease.recovering',
    'lease.retried', 'lease.stuck', 'lease.waiting', 'lease.ended', 'lease.resurfaced',
    'backend.registered', 'backend.updated', 'backend.enabled', 'backend.disabled',
    'backend.deleted', 'role.put', 'role.deleted', 'trust.put', 'trust.deleted',
    'policies.activated', 'signing_key.created', 'signing_key.retired', 'admin_token.created',
    'admin_token.replaced'
  )
) NOT VALID;

REVOKE INSERT ON mayfly.events FROM mayfly_broker, mayfly_worker;
GRANT INSERT (kind, actor, task_id, lease_id, decision_id, data) ON mayfly.events
  TO mayfly_broker, mayfly_worker;
