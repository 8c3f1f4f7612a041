import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { migrationsDirectory } from "./migration-files.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await createTestLedger();
});
afterAll(() => ledger.close());

/** Each of the bodies of `mayfly.uuid7`: the server's own where it has one, and the other. */
describe.each(["the server's version", "versions before 18"])("ids of events, by %s", (which) => {
  beforeAll(async () => {
    if (which === "the server's version") return;
    const file = join(migrationsDirectory(), "0022_cheaper_event_ids.sql");
    const text = await readFile(file, "utf8");
    await ledger.superuser.unsafe(/CREATE OR REPLACE FUNCTION[^;]*;/.exec(text)?.[0] ?? "");
  });

  test("are UUIDv7 of the server's clock, and sort as they were made", async () => {
    const made = await ledger.superuser<{ id: string; from: number; to: number }[]>`
      SELECT id, extract(epoch FROM statement_timestamp())::float8 * 1000 AS from,
        extract(epoch FROM clock_timestamp())::float8 * 1000 AS to
      FROM (SELECT mayfly.uuid7() AS id FROM generate_series(1, 2000) OFFSET 0) AS made`;
    const ids = made.map(({ id }) => id);
    expect(new Set(ids).size).toBe(2000);
    for (const { id, from, to } of made) {
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      const atMs = Number.parseInt(id.slice(0, 13).replace("-", ""), 16);
      expect(atMs).toBeGreaterThanOrEqual(Math.floor(from));
      expect(atMs).toBeLessThanOrEqual(to + 1);
    }
    // 60 bits of time: what was made within a quarter of a microsecond may stand in any order.
    const times = ids.map((id) => id.slice(0, 18));
    expect(times).toEqual(times.toSorted());
  });
});
