import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

let ledger: TestLedger;
/** The event that is tampered with, and its index. */
let target: { readonly id: string; readonly index: number };

beforeEach(async () => {
  ledger = await createTestLedger();
  const backend = await ledgerFixtures.registerBackend(ledger.ports);
  const { task } = await ledgerFixtures.activeLease(ledger.ports, backend);
  await ledgerFixtures.endTask(ledger.ports, task.id);
  await ledger.worker.sequencer.append(1000);
  const [row] = await ledger.superuser`
    SELECT e.id, l.log_index::int AS index FROM mayfly.events AS e
    JOIN mayfly.log_entries AS l ON l.event_id = e.id WHERE e.kind = 'lease.reserved'`;
  target = { id: String(row?.["id"]), index: Number(row?.["index"]) };
});
afterEach(() => ledger.close());

async function tamper(statement: string): Promise<void> {
  const changed = await ledger.superuser.unsafe(statement);
  expect(changed.count).toBeGreaterThan(0);
}
const verdict = () => ledger.worker.sequencer.verify(0);

describe("tampering with the history shows", () => {
  test("and nothing shows without it", async () => {
    const found = await verdict();
    expect(found).toMatchObject({ ok: true, pending: 0 });
    expect(found.ok ? found.entries : 0).toBeGreaterThan(6);
  });

  test.for<[string, string]>([
    ["kind", "'lease.activated'"],
    ["at", "at + interval '1 millisecond'"],
    ["actor", `'{"kind": "workload", "name": "somebody else"}'`],
    ["task_id", "NULL"],
    ["task_id", "mayfly.uuid7()"],
    ["task_id", "gen_random_uuid()"],
    ["lease_id", "NULL"],
    ["decision_id", "mayfly.uuid7()"],
    ["data", `data || '{"role": "orders-db/writer"}'`],
    ["data", "jsonb_set(data, '{generation}', '1')"],
    ["data", `'{}'`],
  ])("a changed %s of an event (%s)", async ([column, value]) => {
    await tamper(`UPDATE mayfly.events SET ${column} = ${value} WHERE id = '${target.id}'`);
    expect(await verdict()).toMatchObject({ ok: false, logIndex: target.index });
  });

  test("an instant that was moved by less than is hashed", async () => {
    await ledger.superuser.unsafe(`
      DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT conname FROM pg_constraint
          WHERE conrelid = 'mayfly.events'::regclass AND contype = 'c'
        LOOP EXECUTE format('ALTER TABLE mayfly.events DROP CONSTRAINT %I', name); END LOOP;
      END $$`);
    await tamper(
      `UPDATE mayfly.events SET at = at + interval '1 microsecond' WHERE id = '${target.id}'`,
    );
    expect(await verdict()).toMatchObject({ ok: false, logIndex: target.index });
  });

  test("an event with another id, or none", async () => {
    await tamper(`UPDATE mayfly.events SET id = mayfly.uuid7() WHERE id = '${target.id}'`);
    expect(await verdict()).toMatchObject({ ok: false, logIndex: target.index });
  });

  test("a removed event", async () => {
    await tamper(`DELETE FROM mayfly.events WHERE id = '${target.id}'`);
    const found = await verdict();
    expect(found).toMatchObject({ ok: false, logIndex: target.index });
    expect(found.ok ? "" : found.problem).toContain("missing");
  });

  test.for(["leaf_hash", "chain_hash"])("a changed %s", async (column) => {
    await tamper(`UPDATE mayfly.log_entries SET ${column} = decode(repeat('ab', 32), 'hex')
      WHERE log_index = ${target.index}`);
    expect(await verdict()).toMatchObject({ ok: false, logIndex: target.index });
  });

  test("an entry that names another event", async () => {
    await tamper(`UPDATE mayfly.log_entries SET event_id = mayfly.uuid7()
      WHERE log_index = ${target.index}`);
    expect(await verdict()).toMatchObject({ ok: false, logIndex: target.index });
  });

  test("a removed entry, in the middle or at the end", async () => {
    const [last] = await ledger.superuser`
      SELECT max(log_index)::int AS index FROM mayfly.log_entries`;
    const end = Number(last?.["index"]);
    await tamper(`DELETE FROM mayfly.log_entries WHERE log_index = ${end}`);
    expect(await verdict()).toMatchObject({ ok: false, logIndex: end });
    await tamper(`DELETE FROM mayfly.log_entries WHERE log_index = ${target.index}`);
    expect(await verdict()).toMatchObject({ ok: false, logIndex: target.index });
  });

  test("a cut tail, with its head set back to fit", async () => {
    await tamper(`DELETE FROM mayfly.log_entries WHERE log_index >= ${target.index}`);
    await tamper(`UPDATE mayfly.log_head SET entries = ${target.index}, chain_hash = (
      SELECT chain_hash FROM mayfly.log_entries WHERE log_index = ${target.index - 1})`);
    const found = await verdict();
    expect(found).toMatchObject({ ok: false, logIndex: target.index });
    expect(found.ok ? "" : found.problem).toContain("neither in the log nor waiting");
  });

  test("two entries in each other's place", async () => {
    await tamper(`
      UPDATE mayfly.log_entries SET log_index = log_index + 1000
      WHERE log_index = ${target.index}`);
    await tamper(`UPDATE mayfly.log_entries SET log_index = ${target.index}
      WHERE log_index = ${target.index + 1}`);
    await tamper(`UPDATE mayfly.log_entries SET log_index = ${target.index + 1}
      WHERE log_index = ${target.index + 1000}`);
    expect(await verdict()).toMatchObject({ ok: false, logIndex: target.index });
  });

  test("an entry that is there twice", async () => {
    await ledger.superuser.unsafe(`ALTER TABLE mayfly.log_entries
      DROP CONSTRAINT log_entries_pkey, DROP CONSTRAINT log_entries_event_id_key`);
    await tamper(`INSERT INTO mayfly.log_entries
      SELECT * FROM mayfly.log_entries WHERE log_index = ${target.index}`);
    expect(await verdict()).toMatchObject({ ok: false, logIndex: target.index });
  });

  test("an added event", async () => {
    await ledger.superuser.unsafe("ALTER TABLE mayfly.events DISABLE TRIGGER events_queued");
    await tamper(`INSERT INTO mayfly.events (kind, actor, data)
      VALUES ('lease.ended', '{"kind": "system", "name": "worker"}', '{}')`);
    expect(await verdict()).toMatchObject({ ok: false });
  });

  test.for(["entries = entries + 1", "chain_hash = decode(repeat('00', 32), 'hex')"])(
    "a changed head of the log (%s)",
    async (change) => {
      await tamper(`UPDATE mayfly.log_head SET ${change}`);
      expect(await verdict()).toMatchObject({ ok: false });
    },
  );
});

describe("the order of the log", () => {
  test("a transaction that commits late loses no place, whatever its event's id", async () => {
    const { superuser, worker } = ledger;
    const late = await superuser.reserve();
    await late`BEGIN`;
    const [held] = await late`
      INSERT INTO mayfly.events (kind, actor, data)
      VALUES ('lease.retried', '{"kind": "system", "name": "worker"}', '{}') RETURNING id`;
    await ledgerFixtures.openTask(ledger.ports);
    expect(await worker.sequencer.append(100)).toBe(1);
    await late`COMMIT`;
    late.release();
    expect(await worker.sequencer.append(100)).toBe(1);
    const [entry] = await superuser`
      SELECT log_index = (SELECT max(log_index) FROM mayfly.log_entries) AS last,
        event_id < (
          SELECT event_id FROM mayfly.log_entries ORDER BY log_index DESC OFFSET 1 LIMIT 1)
          AS older
      FROM mayfly.log_entries WHERE event_id = ${String(held?.["id"])}`;
    expect(entry).toEqual({ last: true, older: true });
    expect(await worker.sequencer.verify(0)).toMatchObject({ ok: true, pending: 0 });
  });

  test("while one appends, another appends nothing and does not wait", async () => {
    const { superuser, worker } = ledger;
    await ledgerFixtures.openTask(ledger.ports);
    const other = await superuser.reserve();
    await other`BEGIN`;
    await other`SELECT FROM mayfly.log_head FOR UPDATE`;
    expect(await worker.sequencer.append(100)).toBe(0);
    await other`ROLLBACK`;
    other.release();
    expect(await worker.sequencer.append(100)).toBe(1);
  });
});
