-- breaking: no
--
-- What administration by many needs: a revision for each role and trust root, so that a change says
-- which one it was made from; the last self-check of each backend; and which trust root vouched for
-- a task's initiator.

ALTER TABLE mayfly.roles ADD COLUMN revision integer NOT NULL DEFAULT 1;
ALTER TABLE mayfly.trust_roots ADD COLUMN revision integer NOT NULL DEFAULT 1;
ALTER TABLE mayfly.backends ADD COLUMN last_check jsonb;
ALTER TABLE mayfly.tasks ADD COLUMN verified_initiator_trust_root text;

-- Counted here and not by who writes: a process of the version before knows no revisions.
CREATE FUNCTION mayfly.count_revision() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF NEW.definition IS DISTINCT FROM OLD.definition
    OR NEW.deleted_at IS DISTINCT FROM OLD.deleted_at
  THEN
    NEW.revision := OLD.revision + 1;
  END IF;
  RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION mayfly.count_revision() FROM PUBLIC;
CREATE TRIGGER count_revision BEFORE UPDATE ON mayfly.roles
  FOR EACH ROW EXECUTE FUNCTION mayfly.count_revision();
CREATE TRIGGER count_revision BEFORE UPDATE ON mayfly.trust_roots
  FOR EACH ROW EXECUTE FUNCTION mayfly.count_revision();

CREATE OR REPLACE VIEW mayfly_audit.tasks AS
SELECT t.id, t.parent_id, t.root_id, t.ancestors, t.depth, t.workload, t.workload_name,
  t.verified_initiator, t.claimed_initiator, t.ref, t.descriptor, t.confirmation, t.state,
  t.opened_at, t.deadline_at, t.last_heartbeat_at, t.identity_proven_at, t.ended_at, t.end_reason,
  EXISTS (
    SELECT FROM mayfly.task_end_requests AS r
    WHERE r.task_id = ANY (t.ancestors || t.id)) AS end_requested,
  t.verified_initiator_trust_root
FROM mayfly.tasks AS t;

CREATE OR REPLACE VIEW mayfly_audit.roles AS
SELECT name, backend_id, definition, updated_at, deleted_at, revision FROM mayfly.roles;

CREATE OR REPLACE VIEW mayfly_audit.trust_roots AS
SELECT name, definition, updated_at, deleted_at, revision FROM mayfly.trust_roots;
