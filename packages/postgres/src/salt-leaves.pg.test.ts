import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { expect, test } from "vitest";
import { systemRandom } from "@mayfly/host";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { freshDatabase } from "@mayfly/testkit/vitest";
import { chainHash, leafHash } from "./leaf-hash.ts";
import { migrate } from "./migrate.ts";
import { migrationsDirectory } from "./migration-files.ts";
import { saltLeaves } from "./salt-leaves.ts";
import { createTestLedger, TEST_PASSWORDS, type TestLedger } from "./testing/test-ledger.ts";
import { exported, offline } from "./testing/erasure-world.ts";

const { openTask } = ledgerFixtures;

/** The schema of the version before, as its `mayfly migrate` leaves it. */
async function earlierDatabase() {
  const database = await freshDatabase();
  const directory = await mkdtemp(join(tmpdir(), "mayfly-earlier-"));
  await cp(migrationsDirectory(), directory, { recursive: true });
  const later = (await readdir(directory)).filter((name) => name >= "0017" && name < "1");
  expect(later.length).toBeGreaterThan(0);
  for (const name of later) await rm(join(directory, name));
  const options = { url: database.url, random: systemRandom, passwords: TEST_PASSWORDS };
  await migrate({ ...options, directory });
  await rm(directory, { recursive: true });
  return { database, upgrade: () => migrate(options) };
}

const versions = async ({ superuser }: TestLedger): Promise<readonly number[]> => {
  const found = await superuser<{ leaf_version: number }[]>`
    SELECT leaf_version FROM mayfly.log_entries ORDER BY log_index`;
  return found.map((row) => row.leaf_version);
};

test("a new installation is salted, one that was upgraded when it is said, and both verify", async () => {
  const { database, upgrade } = await earlierDatabase();
  const before = postgres(database.url, { max: 1, onnotice: () => undefined });
  await before`INSERT INTO mayfly.events (kind, actor, data)
    VALUES ('task.ended', '{"kind": "system", "name": "sweep"}', '{"state": "killed"}')`;
  await before.end();
  await upgrade();
  const ledger = await createTestLedger(database);
  await openTask(ledger.ports);
  await ledger.worker.sequencer.append(100);
  expect(await versions(ledger)).toEqual([1, 1]);
  const [header, first] = await exported(ledger);
  expect(header).toContain('"mayfly_ledger_export":1');
  expect(first).not.toContain('"salt"');

  expect(await saltLeaves(database.url)).toBe(true);
  expect(await saltLeaves(database.url)).toBe(false);
  await openTask(ledger.ports);
  // As a process of the version before would leave it: an event without a salt.
  await ledger.superuser`INSERT INTO mayfly.events (kind, actor, data, salt)
    VALUES ('task.ended', '{"kind": "system", "name": "sweep"}', '{}', NULL)`;
  await ledger.worker.sequencer.append(100);
  expect(await versions(ledger)).toEqual([1, 1, 2, 2, 1]);
  const verified = await ledger.worker.sequencer.verify(0);
  expect(verified).toMatchObject({ ok: true, entries: 5 });
  const lines = await exported(ledger);
  expect(lines[0]).toContain('"mayfly_ledger_export":2');
  expect(lines.filter((line) => line.includes('"salt":'))).toHaveLength(2);
  expect(await offline(lines)).toMatchObject({
    ok: true,
    until: 5,
  });
  const salts = await ledger.superuser<{ n: number; bytes: number }[]>`
    SELECT count(DISTINCT salt)::int AS n, max(octet_length(salt)) AS bytes FROM mayfly.events`;
  expect(salts[0]).toEqual({ n: 3, bytes: 16 });
  await ledger.superuser`UPDATE mayfly.log_entries SET leaf_version = 1 WHERE log_index = 3`;
  expect(await ledger.worker.sequencer.verify(0)).toMatchObject({ ok: false, logIndex: 3 });
  await ledger.close();
});

test("what an earlier process writes beside a newer one verifies", async () => {
  const { database, upgrade } = await earlierDatabase();
  await upgrade();
  const ledger = await createTestLedger(database);
  await saltLeaves(database.url);
  await openTask(ledger.ports);
  await ledger.worker.sequencer.append(100);
  const task = await openTask(ledger.ports);
  // Its sequencer knows no version: the column's default is what it writes.
  const worker = postgres(ledger.urlOf("mayfly_worker"), { max: 1 });
  const { items } = await ledger.ports.queries.events(
    { taskId: task.id },
    { limit: 1, after: null },
  );
  const [event] = items;
  if (event === undefined) throw new Error("no event");
  const leaf = leafHash(event, null);
  const [head] = await worker<{ entries: number; chain_hash: Uint8Array }[]>`
    SELECT entries::int AS entries, chain_hash FROM mayfly.log_head FOR UPDATE`;
  const chain = chainHash(head?.chain_hash ?? new Uint8Array(32), leaf);
  await worker`INSERT INTO mayfly.log_entries (log_index, event_id, leaf_hash, chain_hash)
    SELECT ${head?.entries ?? 0}, event_id, ${leaf}, ${chain} FROM mayfly.events_pending`;
  await worker`UPDATE mayfly.log_head SET entries = entries + 1, chain_hash = ${chain}`;
  await worker`SELECT mayfly.clear_sequenced(ARRAY(SELECT event_id FROM mayfly.events_pending))`;
  await expect(worker`UPDATE mayfly.log_head SET leaf_version = 1`.execute()).rejects.toMatchObject(
    { code: "42501" },
  );
  await worker.end();
  expect(await ledger.worker.sequencer.verify(0)).toMatchObject({ ok: true, pending: 0 });
  await ledger.close();
});
