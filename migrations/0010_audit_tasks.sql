-- breaking: no
--
-- `mayfly ledger verify` compares the rows of tasks with the log too, whoever runs it.

GRANT SELECT ON mayfly_audit.tasks TO mayfly_broker, mayfly_worker;
