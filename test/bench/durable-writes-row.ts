import { openBenchLedger } from "./bench-ledger.ts";
import type { BenchRow, RowResult } from "./bench-row.ts";
import type { BenchWorld } from "./bench-world.ts";
import { profileHere } from "./cpu-profile.ts";
import { interleave, median } from "./interleave.ts";
import { loadReservations } from "./ledger-load.ts";
import { findPgbench, pgbench } from "./pgbench.ts";
import { beginStatements, COUNTS_STATEMENTS, topStatements } from "./statements-profile.ts";

const WANTED = 3;
const FUNCTIONS = 10;
const STATEMENTS = 6;
/** The most that one exchange may ask for. */
const LEASES_EACH = 16;
const CLIENTS = 64;
const PGBENCH_CLIENTS = 32;

export const DURABLE_WRITES: BenchRow = {
  name: "durable-writes",
  title:
    "durable lease rows a second through `reserve` (16 leases in each, with task, decisions and " +
    "events) against pgbench inserting one such lease row alone, prepared, c=32",
  target: { ratio: WANTED, is: "at_least" },
  run: durableWrites,
};

async function durableWrites(world: BenchWorld): Promise<RowResult | null> {
  const version = await findPgbench();
  if (version === null) {
    world.say("pgbench is not on the PATH: its rows are left out");
    return null;
  }
  await using bench = await openBenchLedger(world);
  const { ledger, load, superuser, server, database } = bench;
  await superuser`CREATE TABLE raw_leases (LIKE mayfly.leases INCLUDING ALL)`;
  const { seconds } = world;
  const measured = await interleave(
    world.rounds,
    () =>
      loadReservations(ledger.issue, load, { clients: CLIENTS, leasesEach: LEASES_EACH, seconds }),
    () =>
      pgbench({
        url: server.url(database.name),
        script: INSERT,
        clients: PGBENCH_CLIENTS,
        seconds,
        protocol: "prepared",
      }),
    (ours, theirs) => ours.perSecond / theirs.perSecond,
  );
  const alone = await loadReservations(ledger.issue, load, {
    clients: 256,
    leasesEach: 1,
    seconds,
  });
  const written = alone.leases + measured.ours.reduce((sum, one) => sum + one.leases, 0);
  const [rows] = await superuser<{ n: number }[]>`SELECT count(*)::int AS n FROM mayfly.leases`;
  const profile = measured.ratio < WANTED ? await profileOf(world) : [];
  const failed = measured.theirs.reduce((sum, one) => sum + one.failed, 0);
  return {
    ratio: measured.ratio,
    spread: measured.spread,
    facts: [
      `${median(measured.ours.map((one) => one.perSecond)).toFixed(0)} lease rows a second by ` +
        `reserve, ${LEASES_EACH} in each, ${CLIENTS} under way`,
      `${alone.perSecond.toFixed(0)} a second with one lease, and so one task, in each`,
      `${median(measured.theirs.map((one) => one.perSecond)).toFixed(0)} a second by ${version}: ` +
        "a table with the columns, checks and indexes of a partition of leases",
      "each lease of ours comes with a decision, an event and its place in the log's queue",
      ...profile,
    ],
    broken: [
      ...(rows?.n === written ? [] : [`${written} leases were reserved, ${rows?.n} are there`]),
      ...(failed === 0 ? [] : [`${failed} inserts of pgbench failed`]),
    ],
  };
}

/** One round more, for who reads of a target that was missed. */
async function profileOf(world: BenchWorld): Promise<readonly string[]> {
  await using bench = await openBenchLedger({
    ...world,
    startPostgres: (settings = {}) => world.startPostgres({ ...settings, ...COUNTS_STATEMENTS }),
  });
  const { ledger, load, superuser } = bench;
  const shape = { clients: CLIENTS, leasesEach: LEASES_EACH, seconds: world.seconds };
  await loadReservations(ledger.issue, load, { ...shape, seconds: 1 });
  await beginStatements(superuser);
  const functions = await profileHere(FUNCTIONS, () => loadReservations(ledger.issue, load, shape));
  const statements = await topStatements(superuser, STATEMENTS);
  return [
    ...functions.map((line) => `the main thread: ${line}`),
    ...statements.map((line) => `PostgreSQL: ${line}`),
  ];
}

/** Ids as the ledger makes them; names that differ. */
const INSERT = `\\set id random(1, 1000000000000000)
INSERT INTO raw_leases (id, task_id, workload, role, decision_id, backend_id, backend_type,
  backend_revision, plan, state, issue_by, settle_by, expires_at, due_at)
VALUES (
  mayfly.uuid7(), mayfly.uuid7(), 'spiffe://bench.test/agent/bot-' || :id::bigint,
  'bench-db/reader-' || :id::bigint % 20,
  mayfly.uuid7(), 'bench-db', 'postgres', 1,
  '{"leaseId": "lease_01a1fb7e25b1714c84afb05dd79de24d", "expiresAt": 1790000000000,
    "externalName": "mf_benchaaa_01a1fb7e25b1714c84afb05dd79de24d", "grant": {
    "member_of": ["app_reader"], "owner": "app_owner", "connection_limit": 4}}',
  'reserved', now() + interval '10 s', now() + interval '145 s', now() + interval '900 s',
  now() + interval '145 s');
`;
