import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  erase,
  erasureWorld,
  exported,
  offline,
  sequence,
  verdict,
  type ErasureWorld,
} from "./testing/erasure-world.ts";

const TABLES = [
  "tasks",
  "task_end_requests",
  "decisions",
  "leases",
  "events",
  "selector_ends",
  "log_entries",
] as const;

describe("tampering with what was erased shows", () => {
  let scene: ErasureWorld;
  let lines: readonly string[];
  beforeAll(async () => {
    scene = await erasureWorld();
    const { ledger } = scene;
    for (const table of TABLES) {
      await ledger.superuser.unsafe(`CREATE TABLE public.before_${table} AS TABLE mayfly.${table}`);
    }
    await erase(ledger);
    await sequence(ledger);
    for (const table of TABLES) {
      await ledger.superuser.unsafe(`CREATE TABLE public.${table} AS TABLE mayfly.${table}`);
    }
    lines = await exported(ledger);
  });
  afterAll(() => scene.ledger.close());

  async function tampered(...statements: readonly string[]) {
    const { superuser } = scene.ledger;
    try {
      await superuser.unsafe("ALTER TABLE mayfly.events DISABLE TRIGGER events_queued");
      for (const statement of statements) {
        expect((await superuser.unsafe(statement)).count, statement).toBeGreaterThan(0);
      }
      return await verdict(scene.ledger);
    } finally {
      for (const table of TABLES) {
        await superuser.unsafe(`DELETE FROM mayfly.${table};
          INSERT INTO mayfly.${table} SELECT * FROM public.${table}`);
      }
    }
  }
  const OPENED = `kind = 'task.opened' AND erased_by IS NOT NULL`;
  const putBack = (table: string, columns: string, key = "id"): string => `
    UPDATE mayfly.${table} AS t SET (${columns}) = (
      SELECT ${columns} FROM public.before_${table} AS b WHERE b.${key} = t.${key})
    WHERE erased_by IS NOT NULL`;

  test("and nothing shows without it", async () => {
    expect(await verdict(scene.ledger)).toMatchObject({ ok: true });
  });

  test.for<[string, readonly string[]]>([
    [
      "a value of an event that is changed",
      [`UPDATE mayfly.events SET data = data || '{"workload": "x"}' WHERE ${OPENED}`],
    ],
    ["a value of an event that is put back", [putBack("events", "actor, data")]],
    ["an event put back whole, with its salt", [putBack("events", "actor, data, salt, erased_by")]],
    ["a salt that is put back", [putBack("events", "salt")]],
    ["a mark that is taken away", [`UPDATE mayfly.events SET erased_by = NULL WHERE ${OPENED}`]],
    [
      "a mark by somebody else",
      [`UPDATE mayfly.events SET erased_by = mayfly.uuid7() WHERE ${OPENED}`],
    ],
    [
      "an event that was never erased, with a mark",
      [
        `UPDATE mayfly.events SET salt = NULL, erased_by = (
        SELECT id FROM mayfly.events WHERE kind = 'ledger.erased' LIMIT 1)
      WHERE kind = 'backend.registered'`,
      ],
    ],
    [
      "an erased event that moved in time",
      [`UPDATE mayfly.events SET at = at + interval '1 ms' WHERE ${OPENED}`],
    ],
    ["an erased event that is gone", [`DELETE FROM mayfly.events WHERE ${OPENED}`]],
    [
      "an erased entry's leaf",
      [
        `UPDATE mayfly.log_entries SET leaf_hash = decode(repeat('ab', 32), 'hex')
      WHERE event_id = (SELECT id FROM mayfly.events WHERE ${OPENED} ORDER BY id LIMIT 1)`,
      ],
    ],
    ["an erasure whose event is gone", [`DELETE FROM mayfly.events WHERE kind = 'ledger.erased'`]],
    [
      "an erasure whose event lists other digests",
      [
        `UPDATE mayfly.events SET data = jsonb_set(data, '{rows,events}', '{}')
      WHERE kind = 'ledger.erased'`,
      ],
    ],
    [
      "an erasure that somebody made up",
      [
        `INSERT INTO mayfly.events (kind, actor, data) SELECT 'ledger.erased',
        '{"kind": "system", "name": "migrator"}', jsonb_build_object('rows', jsonb_build_object(
          'events', jsonb_build_object(id::text, repeat('00', 32))))
      FROM mayfly.events WHERE kind = 'backend.registered'`,
      ],
    ],
    ["a task's initiator put back", [putBack("tasks", "verified_initiator")]],
    [
      "a task's row put back whole",
      [putBack("tasks", "workload, workload_name, verified_initiator, descriptor, ref, erased_by")],
    ],
    ["a task's end reason put back", [putBack("tasks", "end_reason")]],
    [
      "a task's deadline that moved",
      [
        `UPDATE mayfly.tasks SET deadline_at = deadline_at + interval '1 us'
      WHERE erased_by IS NOT NULL`,
      ],
    ],
    [
      "a task that was never erased, with a mark and another initiator",
      [
        `UPDATE mayfly.tasks SET verified_initiator = 'x', erased_by = (
        SELECT id FROM mayfly.events WHERE kind = 'ledger.erased' LIMIT 1)
      WHERE erased_by IS NULL`,
      ],
    ],
    [
      "a task that was never erased, with a mark that names nothing",
      [
        `UPDATE mayfly.tasks SET verified_initiator = 'x',
        erased_by = '00000000-0000-7000-8000-000000000000' WHERE erased_by IS NULL`,
      ],
    ],
    ["an erased task that is gone", [`DELETE FROM mayfly.tasks WHERE erased_by IS NOT NULL`]],
    ["a decision's request put back", [putBack("decisions", "request")]],
    [
      "a decision's words changed",
      [
        `UPDATE mayfly.decisions SET verdict = jsonb_set(verdict, '{explanation}', '"x"')
      WHERE erased_by IS NOT NULL`,
      ],
    ],
    ["a lease's workload put back", [putBack("leases", "workload")]],
    ["a lease's reason put back", [putBack("leases", "end_reason")]],
    ["what was looked at of a lease put back", [putBack("leases", "looked")]],
    ["an end request's reason put back", [putBack("task_end_requests", "reason", "task_id")]],
    [
      "an end request's row put back whole",
      [putBack("task_end_requests", "reason, actor, erased_by", "task_id")],
    ],
  ])("%s shows, in the ledger", async ([, statements]) => {
    const found = await tampered(...statements);
    expect(found).toMatchObject({ ok: false });
  });

  describe("in a file", () => {
    const erasedAt = (): number => lines.findIndex((line) => line.includes('"erased_by"'));
    const changed = (at: number, change: (text: string) => string): readonly string[] => {
      const text = change(lines[at] ?? "");
      expect(text).not.toBe(lines[at]);
      return lines.with(at, text);
    };

    test.for<[string, () => readonly string[], string]>([
      [
        "another value in the place of the marker",
        () => changed(erasedAt(), (text) => text.replace('"[erased]"', '"mallory"')),
        "altered after values were erased",
      ],
      [
        "a marker where nothing was erased",
        () => changed(1, (text) => text.replace(/"kind":"[a-z.]+"/, '"kind":"[erased]"')),
        "was altered",
      ],
      [
        "the digest that vouches",
        () =>
          changed(
            lines.findIndex((line) => line.includes('"kind":"ledger.erased"')),
            (text) => text.replace(/"rows":\{.*?"events":\{"/, (head) => `${head}0`),
          ),
        "was altered",
      ],
      [
        "a mark of an erasure that was not",
        () =>
          changed(1, (text) => {
            const by = `evt_${"0".repeat(12)}7${"0".repeat(3)}8${"0".repeat(15)}`;
            return text
              .replace(/,"salt":"[0-9a-f]+"/, "")
              .replace(',"event":', `,"erased_by":"${by}","event":`);
          }),
        "1",
      ],
    ])("%s shows, in a file", async ([, tamper, says]) => {
      const found = await offline(tamper());
      expect(found.ok ? `${found.unvouched}` : found.problem).toContain(says);
    });

    test("erased entries without the event that vouches for them are counted", async () => {
      const range = await scene.ledger.broker.exporter.open(0, erasedAt());
      let text = "";
      for await (const page of range.pages()) text += page;
      const part = text.trimEnd().split("\n");
      const alone = await offline(part);
      expect(alone).toMatchObject({ ok: true });
      expect(alone.ok ? alone.unvouched : 0).toBeGreaterThan(0);
      const rest = await exported(scene.ledger, erasedAt());
      expect(await offline([...part, ...rest])).toMatchObject({ ok: true, unvouched: 0 });
    });
  });
});
