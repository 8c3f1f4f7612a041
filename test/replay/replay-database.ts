import postgres from "postgres";
import { systemClock, systemRandom } from "@mayfly/host";
import { migrate, openLedger, type Ledger } from "@mayfly/postgres";
import { Secret } from "@mayfly/spec";
import { createRecordingLog } from "@mayfly/testkit";
import { slotsPort } from "../simulation/record-operations.ts";
import type { ReplayTarget } from "./replay-operations.ts";

const PASSWORD = Secret.of("a password of tests");
const ROLES = ["mayfly_broker", "mayfly_worker", "mayfly_auditor"] as const;
/** No gap between two ticks of a simulated clock is an outage: 10,000 histories take months. */
const INTERVAL_SECONDS = 1_000_000_000;

export interface ReplayDatabase extends ReplayTarget {
  readonly broker: Ledger;
  close(): Promise<void>;
}

/** An empty database that nobody else uses, and the superuser's URL to it. */
export interface EmptyDatabase {
  readonly url: string;
  urlAs(user: string, password: string): string;
}

/**
 * A migrated ledger in which `now()` is what this test says: the function of the catalog itself is
 * replaced, in this one database, so that defaults, views and statements all tell the same time.
 * The executor knows the built-in one by heart; one that is an expression is put in its place while
 * a statement is planned. How long a transaction really takes is compared with nothing simulated;
 * whether a slot may still be taken, which is asked at the time of the statement, is.
 */
export async function createReplayDatabase(database: EmptyDatabase): Promise<ReplayDatabase> {
  const passwords = Object.fromEntries(ROLES.map((role) => [role, PASSWORD]));
  await migrate({ url: database.url, random: systemRandom, passwords });
  const superuser = postgres(database.url, { max: 1, onnotice: () => undefined });
  await superuser.unsafe(CLOCK);
  const open = (role: (typeof ROLES)[number]): Promise<Ledger> =>
    openLedger({
      url: database.urlAs(role, PASSWORD.expose("upstream")),
      clock: systemClock,
      random: systemRandom,
      log: createRecordingLog(),
      applicationName: `replay-${role}`,
      sweepIntervalSeconds: INTERVAL_SECONDS,
      connections: { commits: 1, statements: 1, queries: 1 },
    });
  const [broker, worker] = [await open("mayfly_broker"), await open("mayfly_worker")];
  const { issue, tasks, selectorEnds, catalog } = broker;
  const slots = slotsPort(broker.backendSlots);
  return {
    broker,
    ports: { issue, tasks, selectorEnds, catalog, slots, sweep: worker.sweep },
    setClock: async (at) => {
      await superuser`SELECT setval('simulated.clock', ${at})`;
    },
    forgetSlots: async () => {
      await superuser`DELETE FROM mayfly.backend_slots`;
    },
    close: async () => {
      await Promise.all([broker.close(), worker.close()]);
      await superuser.end({ timeout: 5 });
    },
  };
}

const CLOCK = `
  CREATE SCHEMA simulated;
  CREATE SEQUENCE simulated.clock;
  GRANT USAGE ON SCHEMA simulated TO PUBLIC;
  GRANT SELECT ON simulated.clock TO PUBLIC;
  SELECT setval('simulated.clock', floor(extract(epoch FROM now()) * 1000)::bigint);
  CREATE FUNCTION simulated.instant() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS
    $$SELECT timestamptz 'epoch' + last_value * interval '1 millisecond' FROM simulated.clock$$;
  SET allow_system_table_mods = on;
  CREATE OR REPLACE FUNCTION pg_catalog.now() RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT simulated.instant()';
  RESET allow_system_table_mods;
  CREATE OR REPLACE FUNCTION mayfly.require_prompt_end(seconds double precision) RETURNS void
    LANGUAGE sql AS 'SELECT';
  DO $$
  DECLARE
    take CONSTANT text := pg_get_functiondef(
      'mayfly.take_backend_slot(text,uuid,jsonb,double precision)'::regprocedure);
  BEGIN
    ASSERT position('clock_timestamp()' IN take) > 0, 'it tells another time';
    EXECUTE replace(take, 'clock_timestamp()', 'now()');
  END $$`;
