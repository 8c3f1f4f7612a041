-- breaking: no
--
-- What is live, newest first, without a walk back through all that has ended; and the active tasks
-- of one workload. Small whatever the history: each leaves them when it ends.

CREATE INDEX leases_live ON mayfly.leases (id) WHERE state <> 'ended';
CREATE INDEX tasks_active_workload ON mayfly.tasks (workload_name, id) WHERE state = 'active';
