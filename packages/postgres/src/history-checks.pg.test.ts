import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await createTestLedger();
});
afterAll(() => ledger.close());

const checkOf = async (table: string, name: string): Promise<string | undefined> => {
  const [row] = await ledger.superuser<{ check: string }[]>`
    SELECT pg_get_constraintdef(oid) AS check FROM pg_constraint
    WHERE conrelid = ${`mayfly.${table}`}::regclass AND conname = ${name}`;
  return row?.check;
};

test("a row whose id is no UUIDv7 is refused, in each table of the history", async () => {
  for (const table of ["tasks", "decisions", "leases", "events"]) {
    expect(await checkOf(table, `${table}_ids_are_uuid7`)).toContain("mayfly.are_uuid7(id, ");
  }
  const judged = await ledger.superuser<{ places: boolean[] }[]>`
    SELECT ARRAY[
      mayfly.are_uuid7(id, good, good, good), mayfly.are_uuid7(good, id, NULL, NULL),
      mayfly.are_uuid7(good, good, id, NULL), mayfly.are_uuid7(good, NULL, NULL, id)] AS places
    FROM (SELECT '01a228e1-69ce-728f-8cf8-44734e113b36'::uuid AS good) AS g, unnest(ARRAY[
      '01a228e1-69ce-728f-8cf8-44734e113b36', '01a228e1-69ce-728f-bcf8-44734e113b36',
      '01a228e1-69ce-628f-8cf8-44734e113b36', '01a228e1-69ce-828f-8cf8-44734e113b36',
      '01a228e1-69ce-728f-7cf8-44734e113b36', '01a228e1-69ce-728f-ccf8-44734e113b36',
      '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'
    ]::uuid[]) AS id`;
  const expected = [true, true, false, false, false, false, false, false];
  expect(judged.map(({ places }) => places)).toEqual(expected.map((is) => [is, is, is, is]));
});

test("a lease's row is refused by the rules that its columns had", async () => {
  expect(await checkOf("leases", "leases_state_is_whole")).toContain("mayfly.is_lease_state(");
  const [counted] = await ledger.superuser<{ taken: number; refused: number; other: number }[]>`
    WITH judged AS (
      SELECT mayfly.is_lease_state(state, outcome, work, ended_at IS NOT NULL,
          handle IS NOT NULL) AS after,
        (state IN ('reserved', 'active', 'ending', 'ended', 'stuck')
          AND coalesce(outcome IN ('revoked', 'expired', 'absent', 'abandoned'), true)
          AND work IN ('revoke', 'recover')
          AND (state = 'ended') = (ended_at IS NOT NULL)
          AND (state = 'ended') = (outcome IS NOT NULL)
          AND (state <> 'active' OR (handle IS NOT NULL AND work = 'revoke'))
          AND (work <> 'revoke' OR handle IS NOT NULL)) AS before
      FROM unnest(ARRAY['reserved', 'active', 'ending', 'ended', 'stuck', 'Ended', '']) AS state,
        unnest(ARRAY['revoked', 'expired', 'absent', 'abandoned', 'gone', NULL]) AS outcome,
        unnest(ARRAY['revoke', 'recover', 'wait']) AS work,
        unnest(ARRAY[now(), NULL]) AS ended_at, unnest(ARRAY['\\x00'::bytea, NULL]) AS handle)
    SELECT count(*) FILTER (WHERE after AND before)::integer AS taken,
      count(*) FILTER (WHERE NOT after AND NOT before)::integer AS refused,
      count(*) FILTER (WHERE after IS DISTINCT FROM before)::integer AS other
    FROM judged`;
  // Three live states with three pairs of work and handle, the active one with one of them, and
  // the ended one with each of its outcomes.
  expect(counted).toEqual({ taken: 3 * 3 + 1 + 4 * 3, refused: 482, other: 0 });
});

test("a task's row is refused by the rules that its columns had", async () => {
  expect(await checkOf("tasks", "tasks_state_is_whole")).toContain("mayfly.is_task_state(");
  const judged = await ledger.superuser<{ state: string; open: boolean; over: boolean }[]>`
    SELECT state, mayfly.is_task_state(state, false) AS open,
      mayfly.is_task_state(state, true) AS over
    FROM unnest(ARRAY['active', 'completed', 'failed', 'cancelled', 'expired', 'killed', 'done',
      '']) AS state`;
  expect(judged.filter(({ open }) => open).map(({ state }) => state)).toEqual(["active"]);
  expect(judged.filter(({ over }) => over).map(({ state }) => state)).toEqual([
    "completed",
    "failed",
    "cancelled",
    "expired",
    "killed",
  ]);
});

test("an event of a kind that there is not is refused, whatever the search_path of who writes it", async () => {
  const insert = (kind: string): string =>
    `INSERT INTO mayfly.events (kind, actor, data) VALUES ('${kind}', '{}', '{}')`;
  const inOtherPath = (statement: string): Promise<unknown> =>
    ledger.superuser.begin(async (sql) => {
      await sql.unsafe(`CREATE SCHEMA IF NOT EXISTS planted`);
      await sql.unsafe(`CREATE OR REPLACE FUNCTION planted.same(text, text) RETURNS boolean
        LANGUAGE sql IMMUTABLE RETURN true`);
      await sql.unsafe(`CREATE OPERATOR planted.= (LEFTARG = text, RIGHTARG = text,
        FUNCTION = planted.same)`);
      await sql.unsafe(`SET LOCAL search_path = planted, pg_catalog`);
      expect(await sql`SELECT 'a'::text = 'b'::text AS same`).toEqual([{ same: true }]);
      await sql.unsafe(statement);
      throw new Error("taken");
    });
  await expect(inOtherPath(insert("lease.reserved"))).rejects.toThrow("taken");
  await expect(inOtherPath(insert("lease.reserve"))).rejects.toMatchObject({
    code: "23514",
    constraint_name: "events_kind_is_known",
  });
});
