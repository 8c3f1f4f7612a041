import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, describe, expect, test } from "vitest";
import {
  defaultPostgresVersion,
  freshDatabase,
  postgresVersionsToTest,
  startPostgres,
  type EmbeddedPostgres,
  type PostgresVersion,
} from "@mayfly/embedded";
import { createJsonLog, systemClock, systemRandom } from "@mayfly/host";
import { migrate, openLedger, openRetention, type Ledger } from "@mayfly/postgres";
import { runAgainst, type Ran } from "../__fixtures__/run-against.ts";

/** Whole months before this one, newest first in the text; each gets partitions and rows. */
const MONTHS = 16;
const TASKS_A_MONTH = 30;

interface OldLedger extends AsyncDisposable {
  readonly sql: postgres.Sql;
  readonly ledger: Ledger;
  readonly folder: string;
  readonly url: string;
  readonly mayfly: (line: string) => Promise<Ran>;
}

/**
 * Rows as they are after months: tasks that ended, their decisions and revoked leases, and the
 * events of all of it, at a day of each month.
 */
const SYNTHETIC = `
CREATE FUNCTION pg_temp.id_at(at timestamptz, n integer) RETURNS uuid LANGUAGE sql AS $$
  SELECT (left(mayfly.uuid7_floor(at)::text, 14) || '7' || lpad(to_hex(n % 4096), 3, '0')
    || '-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
CREATE TABLE pg_temp.old AS
SELECT m, n, pg_temp.id_at(at, n * 16) AS task,
  pg_temp.id_at(at, n * 16 + 1) AS decision,
  pg_temp.id_at(at, n * 16 + 2) AS lease, date_trunc('milliseconds', at) AS at
FROM generate_series(1, ${MONTHS}) AS m, generate_series(1, ${TASKS_A_MONTH}) AS n,
  LATERAL (SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => m)
    + make_interval(days => n % 27)) AT TIME ZONE 'UTC' AS at) AS t;
--EDGE
INSERT INTO mayfly.tasks (id, root_id, ancestors, depth, workload, workload_name,
  verified_initiator, descriptor, state, opened_at, deadline_at, idle_timeout_seconds,
  heartbeat_outage_seconds, identity_proven_at, identity_max_age_seconds, ended_at, end_reason)
SELECT task, task, '{}', 0, '{}', 'spiffe://acme.test/old', 'alice', '{"goal": "long ago"}',
  'completed', at, at, 60, 0, at, 60, at, 'done' FROM pg_temp.old;
INSERT INTO mayfly.decisions (id, task_id, workload, effect, request, verdict, policy_digest,
  decided_at, recorded_at)
SELECT decision, task, 'spiffe://acme.test/old', 'permit', '{}', '{}', '', at, at FROM pg_temp.old;
INSERT INTO mayfly.leases (id, task_id, decision_id, workload, role, backend_id, backend_type,
  backend_revision, plan, state, outcome, reserved_at, issue_by, settle_by, expires_at, ended_at,
  due_at, sealed_handle)
SELECT lease, task, decision, 'spiffe://acme.test/old', 'db/reader', 'db', 'postgres', 1,
  jsonb_build_object('expiresAt', floor(extract(epoch FROM at) * 1000)), 'ended', 'revoked', at, at,
  at, at, at, at, '\\x01' FROM pg_temp.old;
INSERT INTO mayfly.events (id, kind, at, actor, task_id, lease_id, decision_id, data)
SELECT pg_temp.id_at(at, n * 16 + 3 + e.place), e.kind, at, '{"kind": "system", "name": "old"}',
  task, CASE WHEN e.kind LIKE 'lease.%' THEN lease END,
  CASE WHEN e.kind LIKE 'decision.%' THEN decision END, e.data::jsonb
FROM pg_temp.old, (VALUES (0, 'task.opened', '{"descriptor": {"goal": "long ago"}}'),
  (1, 'decision.permitted', '{}'), (2, 'lease.ended', '{"outcome": "revoked"}'),
  (3, 'task.ended', '{}')) AS e (place, kind, data);
UPDATE mayfly.policy_use_head SET log_index = 1000000;`;

const PARTITIONS = `
DO $$
DECLARE
  parent text;
  starts timestamp;
BEGIN
  FOREACH parent IN ARRAY ARRAY['tasks', 'task_end_requests', 'decisions', 'leases', 'events'] LOOP
    FOR back IN 2 .. ${MONTHS} LOOP
      starts := date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => back);
      EXECUTE format('CREATE TABLE mayfly.%I PARTITION OF mayfly.%I FOR VALUES FROM (%L) TO (%L)',
        format('%s_%s', parent, to_char(starts, 'YYYY_MM')), parent,
        mayfly.uuid7_floor(starts AT TIME ZONE 'UTC'),
        mayfly.uuid7_floor((starts + interval '1 month') AT TIME ZONE 'UTC'));
      EXECUTE format('ALTER TABLE mayfly.%I OWNER TO mayfly_migrator',
        format('%s_%s', parent, to_char(starts, 'YYYY_MM')));
    END LOOP;
  END LOOP;
END $$;`;

/** One for each version; roles belong to the server, so it is one of this file's own. */
const servers = new Map<PostgresVersion, Promise<EmbeddedPostgres>>();
afterAll(async () => {
  for (const server of servers.values()) await (await server).stop("immediate");
});

let made = 0;
async function oldLedger(
  version: PostgresVersion = defaultPostgresVersion,
  more = "",
): Promise<OldLedger> {
  const started = servers.get(version) ?? startPostgres({ version, unsafeNoFsync: true });
  servers.set(version, started);
  const server = await started;
  const url = await freshDatabase(server, `retain_${++made}`);
  await migrate({ url, random: systemRandom });
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  await sql.unsafe(PARTITIONS);
  await sql.unsafe(SYNTHETIC.replace("--EDGE", more));
  const ledger = await openLedger({
    url,
    clock: systemClock,
    random: systemRandom,
    log: createJsonLog({ level: "silent", stream: { write: () => true }, clock: systemClock }),
    applicationName: "test",
  });
  await sequence(ledger);
  const folder = await mkdtemp(join(tmpdir(), "mayfly-retain-"));
  return {
    sql,
    ledger,
    folder,
    url,
    mayfly: (line) =>
      runAgainst("http://127.0.0.1:1", line, {
        clock: systemClock,
        environment: { MAYFLY_DATABASE_URL: url },
      }),
    [Symbol.asyncDispose]: async () => {
      await ledger.close();
      await sql.end({ timeout: 5 });
      await rm(folder, { recursive: true });
    },
  };
}

async function sequence(ledger: Ledger): Promise<void> {
  for (let more = 1; more > 0;) more = await ledger.sequencer.append(1000);
}

const counted = async ({ sql }: OldLedger, table: string): Promise<number> => {
  const [row] = await sql.unsafe(`SELECT count(*)::int AS n FROM mayfly.${table}`);
  return Number(row?.["n"]);
};
const CUT_MONTHS = MONTHS - 13;
const CUT_ENTRIES = CUT_MONTHS * TASKS_A_MONTH * 4;

describe.each(postgresVersionsToTest())("on PostgreSQL %s", (version) => {
  test("old months leave: exported and verified, cut, detached, dropped; the rest verifies", async () => {
    await using old = await oldLedger(version);
    const { folder, mayfly, ledger } = old;
    const before = await ledger.sequencer.verify(0);
    expect(before).toMatchObject({ ok: true, from: 0, entries: MONTHS * TASKS_A_MONTH * 4 });

    const dry = await mayfly("ledger retain --keep 13mo --dry-run --json");
    expect(dry.err).toBe("");
    expect(JSON.parse(dry.out)).toMatchObject({ from: 0, until: CUT_ENTRIES, kept: null });
    expect(await readdir(folder)).toEqual([]);

    const ran = await mayfly(`ledger retain --keep 13mo --to ${folder} --yes --json`);
    expect(ran).toMatchObject({ code: 0 });
    const done = JSON.parse(ran.out) as {
      files: { log: string; rows: string };
      detached: string[];
    };
    expect(done.detached).toHaveLength(CUT_MONTHS * 5);
    expect(await counted(old, "leases")).toBe(13 * TASKS_A_MONTH);
    expect(await counted(old, "events")).toBe(13 * TASKS_A_MONTH * 4 + 1);
    const offline = await mayfly(`ledger verify ${done.files.log} --json`);
    expect(JSON.parse(offline.out)).toMatchObject({ ok: true, from: 0, until: CUT_ENTRIES });
    const rows = (await readFile(done.files.rows, "utf8")).trimEnd().split("\n");
    expect(rows).toHaveLength(1 + CUT_MONTHS * TASKS_A_MONTH * 3);
    expect(rows.join()).not.toContain("sealed_handle");

    await sequence(ledger);
    const after = await ledger.sequencer.verify(0);
    expect(after).toMatchObject({ ok: true, from: CUT_ENTRIES });
    expect((await mayfly("ledger verify")).out).toContain(`from ${CUT_ENTRIES} on verified`);
    const rest = await mayfly(`ledger export --from ${CUT_ENTRIES} --output ${folder}/rest.ndjson`);
    expect(rest.code).toBe(0);
    const whole = await mayfly(`ledger verify ${done.files.log} ${folder}/rest.ndjson --json`);
    expect(JSON.parse(whole.out)).toMatchObject({ ok: true, from: 0 });
    const gone = await mayfly("ledger export --from 0");
    expect(gone.err).toContain(`entries before ${CUT_ENTRIES} have left the ledger`);

    expect((await mayfly("ledger retain --drop")).code).toBe(2);
    const dropped = await mayfly("ledger retain --drop --yes --json");
    expect((JSON.parse(dropped.out) as { dropped: string[] }).dropped).toHaveLength(CUT_MONTHS * 5);
    await sequence(ledger);
    expect(await ledger.sequencer.verify(0)).toMatchObject({ ok: true, from: CUT_ENTRIES });
    const again = await mayfly(`ledger retain --keep 13mo --to ${folder} --yes`);
    expect(again.out).toContain("no month leaves");
  });

  test("a live lease or task holds its month back, and all after it", async () => {
    await using old = await oldLedger(version);
    await old.sql`
      UPDATE mayfly.leases SET state = 'stuck', ended_at = NULL, outcome = NULL
      WHERE id = (SELECT id FROM mayfly.leases ORDER BY id LIMIT 1 OFFSET ${TASKS_A_MONTH})`;
    const planned = await old.mayfly("ledger retain --keep 3mo --dry-run --json");
    const plan = JSON.parse(planned.out) as { months: string[]; kept: { why: string } };
    expect(plan.months).toHaveLength(1);
    expect(plan.kept.why).toBe("1 leases have not ended");
  });
});

test("a crash between any two steps loses nothing, and the next run goes on", async () => {
  await using old = await oldLedger();
  const retention = await openRetention({
    url: old.url,
    clock: systemClock,
    random: systemRandom,
  });
  const { cut } = await retention.plan(13);
  if (cut === null) throw new Error("nothing leaves");
  // Cut and not detached: as after a crash there.
  const digests = { logSha256: "0".repeat(64), rowsSha256: "1".repeat(64) };
  await retention.record(cut, digests);
  await expect(retention.record(cut, digests)).rejects.toMatchObject({ code: "conflict" });
  await sequence(old.ledger);
  expect(await old.ledger.sequencer.verify(0)).toMatchObject({ ok: true, from: CUT_ENTRIES });
  // One lease comes to life again: its month's leases stay, and the run says why.
  await old.sql`
    UPDATE mayfly.leases SET state = 'ending', ended_at = NULL, outcome = NULL
    WHERE id = (SELECT min(id::text)::uuid FROM mayfly.leases)`;
  await expect(retention.detach()).rejects.toThrow("has a live row again");
  expect(await counted(old, "leases")).toBe(MONTHS * TASKS_A_MONTH);
  await old.sql`
    UPDATE mayfly.leases SET state = 'ended', ended_at = now(), outcome = 'revoked'
    WHERE state = 'ending'`;
  // Another operator at the same time is told, before it writes a file.
  const other = await old.mayfly(`ledger retain --keep 13mo --to ${old.folder} --yes`);
  expect(other.code).toBe(4);
  expect(other.err).toContain("A retention or an erasure of this ledger is under way");
  await retention.close();
  // Somebody reads the events: the lock is waited for, and asked for again.
  const reader = postgres(old.url, { max: 1 });
  const reading = reader.begin(async (tx) => {
    await tx`SELECT count(*) FROM mayfly.events`;
    await systemClock.sleep(1500);
  });
  const ran = await old.mayfly(`ledger retain --keep 13mo --to ${old.folder} --yes --json`);
  expect((JSON.parse(ran.out) as { detached: string[] }).detached).toHaveLength(CUT_MONTHS * 5);
  await reading;
  await reader.end();
  expect(await old.ledger.sequencer.verify(0)).toMatchObject({ ok: true, from: CUT_ENTRIES });
});

/** A task whose ids are of a process whose clock is that much ahead of the server's. */
const atTheEdge = (n: number, seconds: number): string => `
INSERT INTO pg_temp.old SELECT 99, ${n}, pg_temp.id_at(row, ${n}), pg_temp.id_at(row, ${n} + 1),
  pg_temp.id_at(row, ${n} + 2), at FROM (SELECT at, at + interval '${seconds} s' AS row FROM (
    SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '13 months')
      AT TIME ZONE 'UTC' - interval '${seconds} s' / 2 AS at) AS edge) AS clocks;`;

test("what straddles the edge of a month, by two clocks, still verifies after the cut", async () => {
  await using old = await oldLedger(
    defaultPostgresVersion,
    atTheEdge(0xe00, 20) + atTheEdge(0xf00, -20),
  );
  expect(await old.ledger.sequencer.verify(0)).toMatchObject({ ok: true, from: 0 });
  const ran = await old.mayfly(`ledger retain --keep 13mo --to ${old.folder} --yes`);
  expect(ran.code).toBe(0);
  await sequence(old.ledger);
  expect(await old.ledger.sequencer.verify(0)).toMatchObject({ ok: true, from: CUT_ENTRIES + 4 });
});

test("an event that came late into an old month leaves with the next cut, not unexported", async () => {
  await using old = await oldLedger();
  const retention = await openRetention({ url: old.url, clock: systemClock, random: systemRandom });
  const { cut } = await retention.plan(13);
  if (cut === null) throw new Error("nothing leaves");
  await retention.record(cut, { logSha256: "0".repeat(64), rowsSha256: "1".repeat(64) });
  // As from a server whose clock was wrong for a moment.
  await old.sql`
    INSERT INTO mayfly.events (id, kind, actor, data)
    SELECT (left(min(id::text), 14) || '7fff-8000-00000000beef')::uuid, 'policies.activated',
      '{"kind": "system", "name": "late"}', '{}' FROM mayfly.events`;
  await expect(retention.detach()).rejects.toThrow("came after the cut");
  await sequence(old.ledger);
  await expect(retention.detach()).rejects.toThrow("came after the cut");
  await retention.close();
  expect(await old.ledger.sequencer.verify(0)).toMatchObject({ ok: true, from: CUT_ENTRIES });
  const ran = await old.mayfly(`ledger retain --keep 13mo --to ${old.folder} --yes --json`);
  const done = JSON.parse(ran.out) as { files: { log: string }; detached: string[] };
  expect(done.detached).toHaveLength(CUT_MONTHS * 5);
  expect(await readFile(done.files.log, "utf8")).toContain('"name":"late"');
  expect(await old.ledger.sequencer.verify(0)).toMatchObject({ ok: true });
});

test("files of another ledger are left alone, and those of many cuts sort as they follow", async () => {
  await using old = await oldLedger();
  const dry = await old.mayfly("ledger retain --keep 13mo --dry-run --json");
  expect(JSON.parse(dry.out)).toMatchObject({ from: 0, until: CUT_ENTRIES });
  const name = `ledger-${"0".repeat(12)}-${String(CUT_ENTRIES).padStart(12, "0")}.ndjson`;
  const theirs = '{"before_hash":"","installation":"strangers"}\n';
  await writeFile(join(old.folder, name), theirs);
  const refused = await old.mayfly(`ledger retain --keep 13mo --to ${old.folder} --yes`);
  expect(refused.code).not.toBe(0);
  expect(refused.err).toContain("of another ledger");
  expect(await readFile(join(old.folder, name), "utf8")).toBe(theirs);
  expect(await counted(old, "log_cuts")).toBe(0);
  await rm(join(old.folder, name));
  // What an interrupted run of this ledger left is written anew.
  const { id } = old.ledger.installation;
  await writeFile(join(old.folder, name), `{"before_hash":"","installation":"${id}"}\n`);
  const ran = await old.mayfly(`ledger retain --keep 13mo --to ${old.folder} --yes`);
  expect(ran.code).toBe(0);
  expect((await readdir(old.folder)).toSorted()[0]).toBe(name);
});

test("a disk that is full cuts nothing", async () => {
  await using old = await oldLedger();
  const name = `ledger-${"0".repeat(12)}-${String(CUT_ENTRIES).padStart(12, "0")}.ndjson`;
  await symlink("/dev/full", join(old.folder, `${name}.partial`));
  const ran = await old.mayfly(`ledger retain --keep 13mo --to ${old.folder} --yes`);
  expect(ran.code).not.toBe(0);
  expect(ran.err).toContain("The file cannot be written");
  expect(await counted(old, "log_cuts")).toBe(0);
  expect(await counted(old, "leases")).toBe(MONTHS * TASKS_A_MONTH);
});

test("a cut that no event tells of, or with another hash, is found by verify", async () => {
  await using old = await oldLedger();
  const forge = (hash: string) =>
    old.sql.unsafe(`
    INSERT INTO mayfly.log_cuts (log_index, chain_hash, kept_from_id, log_sha256, rows_sha256)
    VALUES (100, decode('${hash}', 'hex'), mayfly.uuid7(), repeat('0', 64), repeat('0', 64))`);
  await forge("00".repeat(32));
  const forged = await old.ledger.sequencer.verify(0);
  expect(forged.ok ? "" : forged.problem).toContain("no event tells of");
  const url = new URL(old.url);
  const [denied] = await old.sql`
    SELECT has_table_privilege('mayfly_broker', 'mayfly.log_cuts', 'INSERT') AS broker,
      has_table_privilege('mayfly_worker', 'mayfly.log_cuts', 'INSERT') AS worker`;
  expect([url.protocol, denied]).toEqual(["postgres:", { broker: false, worker: false }]);
});
