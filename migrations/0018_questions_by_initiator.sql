-- breaking: no
--
-- What is held on somebody's behalf, without a walk through all that lives: by the initiator's
-- active tasks, and among what is leaving. Whose behalf is a fact of the task alone: a lease has no
-- name of a person in it.
--
-- A partition's index is made before its table's, which then takes it up: writers wait for one
-- partition at a time, those of the current month while its rows are read once.

DO $$
DECLARE
  child record;
BEGIN
  FOR child IN
    SELECT c.relname AS name, p.relname AS parent
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    JOIN pg_class AS p ON p.oid = i.inhparent
    WHERE p.oid IN ('mayfly.tasks'::regclass, 'mayfly.leases'::regclass)
    ORDER BY p.relname, c.relname
  LOOP
    IF child.parent = 'tasks' THEN
      EXECUTE format('CREATE INDEX %I ON mayfly.%I (verified_initiator, id)
        WHERE state = ''active'' AND verified_initiator IS NOT NULL',
        child.name || '_active_verified', child.name);
      EXECUTE format('CREATE INDEX %I ON mayfly.%I (claimed_initiator, id)
        WHERE state = ''active'' AND claimed_initiator IS NOT NULL',
        child.name || '_active_claimed', child.name);
    ELSE
      EXECUTE format('CREATE INDEX %I ON mayfly.%I (id)
        WHERE state <> ''ended'' AND (state IN (''ending'', ''stuck'')
          OR end_requested_at IS NOT NULL)',
        child.name || '_leaving', child.name);
    END IF;
  END LOOP;
END
$$;
CREATE INDEX tasks_active_verified ON mayfly.tasks (verified_initiator, id)
  WHERE state = 'active' AND verified_initiator IS NOT NULL;
CREATE INDEX tasks_active_claimed ON mayfly.tasks (claimed_initiator, id)
  WHERE state = 'active' AND claimed_initiator IS NOT NULL;
-- Those on their way out: all whose task is not active any more are among them.
CREATE INDEX leases_leaving ON mayfly.leases (id)
  WHERE state <> 'ended' AND (state IN ('ending', 'stuck') OR end_requested_at IS NOT NULL);
