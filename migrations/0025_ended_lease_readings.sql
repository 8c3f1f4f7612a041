-- breaking: no
--
-- The number of the last reading of each backend's ended leases. Lists of revoked credentials bear
-- it, so it has to rise with each of them, in whichever process: whoever reads locks the row first.

CREATE TABLE mayfly.ended_lease_readings (
  backend_id text PRIMARY KEY,
  -- Microseconds since the epoch, or one more than before: below 2^53.
  number double precision NOT NULL
);
GRANT SELECT, INSERT, UPDATE (number) ON mayfly.ended_lease_readings
  TO mayfly_broker, mayfly_worker;
