import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EVENT_KINDS } from "@mayfly/spec";
import { createRecordingLog } from "@mayfly/testkit";
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
/** Who owns the table can; and an installation may hold rows from before there were such checks. */
const dropChecks = () =>
  ledger.superuser.unsafe(`
    DO $$ DECLARE name text; BEGIN
      FOR name IN SELECT conname FROM pg_constraint
        WHERE conrelid = 'mayfly.events'::regclass AND contype = 'c'
      LOOP EXECUTE format('ALTER TABLE mayfly.events DROP CONSTRAINT %I', name); END LOOP;
    END $$`);
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
    await dropChecks();
    await tamper(`UPDATE mayfly.events SET ${column} = ${value} WHERE id = '${target.id}'`);
    expect(await verdict()).toMatchObject({ ok: false, logIndex: target.index });
  });

  test("an instant that was moved by less than is hashed", async () => {
    await dropChecks();
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

test("a log that stands still is told, with the age of what waits the longest", async () => {
  await ledgerFixtures.openTask(ledger.ports);
  const soon = await verdict();
  expect(soon).toMatchObject({ ok: true, pending: 1, warning: null });
  expect(soon.ok ? soon.oldestPendingSeconds : null).toBeLessThan(60);
  await tamper(`UPDATE mayfly.events SET at = at - interval '11 minutes'
    WHERE id IN (SELECT event_id FROM mayfly.events_pending)`);
  const late = await verdict();
  expect(late.ok ? late.oldestPendingSeconds : null).toBeGreaterThanOrEqual(660);
  expect(late.ok ? late.warning : null).toContain("stands still");
});

describe("an event that cannot be read", () => {
  const ACTOR = `'{"kind": "system", "name": "worker"}'`;
  const unreadable = {
    "an id that is no UUIDv7": `(gen_random_uuid(), 'lease.ended', ${ACTOR}, NULL, '{}')`,
    "a task's id that is none": `(DEFAULT, 'lease.ended', ${ACTOR}, gen_random_uuid(), '{}')`,
    "a number that is none in JavaScript": `(DEFAULT, 'lease.ended', ${ACTOR}, NULL,
      '{"n": 1e400}')`,
  };
  const CHECK_VIOLATION = { code: "23514" };
  const insert = (values: string): Promise<void> =>
    tamper(`INSERT INTO mayfly.events (id, kind, actor, task_id, data) VALUES ${values}`);

  test.for(Object.keys(unreadable))("with %s stops neither the log nor a page", async (what) => {
    await dropChecks();
    await insert(Object.entries(unreadable).find(([name]) => name === what)?.[1] ?? "");
    const task = await ledgerFixtures.openTask(ledger.ports);
    const log = createRecordingLog();
    const worker = await ledger.open("mayfly_worker", { log });
    expect(await worker.sequencer.append(1000)).toBe(2);
    expect(log.messages("error").join()).toContain("never writes");
    expect(await verdict()).toMatchObject({ ok: true, pending: 0 });
    const page = await ledger.ports.queries.events({}, { limit: 100, after: null });
    expect(page.items.filter(({ taskId }) => taskId === task.id)).toHaveLength(1);
    await tamper(`UPDATE mayfly.events SET data = '{"n": 2e400}'
      WHERE id = (SELECT event_id FROM mayfly.log_entries ORDER BY log_index DESC OFFSET 1 LIMIT 1)
        OR substring(id::text, 15, 1) <> '7'`);
    expect(await verdict()).toMatchObject({ ok: false });
  });

  test("is refused when it is written, and so is a kind that there is not", async () => {
    for (const name of ["an id that is no UUIDv7", "a task's id that is none"] as const) {
      await expect(insert(unreadable[name])).rejects.toMatchObject(CHECK_VIOLATION);
    }
    const unknown = `(DEFAULT, 'lease.forged', ${ACTOR}, NULL, '{}')`;
    await expect(insert(unknown)).rejects.toMatchObject(CHECK_VIOLATION);
    for (const kind of EVENT_KINDS) {
      await insert(`(DEFAULT, '${kind}', ${ACTOR}, NULL, '{}')`);
    }
  });
});
