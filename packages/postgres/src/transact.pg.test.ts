import postgres from "postgres";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freshDatabase, type TestDatabase } from "@mayfly/testkit/vitest";
import { connect, type Sql } from "./sql.ts";
import { transact } from "./transact.ts";

const LOCK_WAIT = "SET LOCAL lock_timeout = 100";

let database: TestDatabase;
let sql: Sql;
let other: postgres.Sql;

beforeEach(async () => {
  database = await freshDatabase({ prefix: "transact" });
  sql = connect(database.url, "transact", 1);
  other = postgres(database.url, { max: 1, onnotice: () => undefined });
  await other`CREATE TABLE written (what text PRIMARY KEY)`;
});
afterEach(async () => {
  await Promise.all([sql.end({ timeout: 1 }), other.end({ timeout: 1 })]);
});

const written = async (): Promise<readonly string[]> =>
  (await other<{ what: string }[]>`SELECT what FROM public.written ORDER BY what`).map(
    ({ what }) => what,
  );
const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : error;

test("what is sent with COMMIT is durable when it resolves, and tells its answer", async () => {
  const told = await transact(sql, LOCK_WAIT, async ({ sql: tx, commitWith }) => {
    await tx`INSERT INTO public.written VALUES ('first')`;
    const last = tx<{ n: number }[]>`SELECT count(*)::int AS n FROM public.written`;
    await commitWith([tx`INSERT INTO public.written VALUES ('second')`, last]);
    return last;
  });
  expect(told).toEqual([{ n: 2 }]);
  expect(await written()).toEqual(["first", "second"]);
});

test("without last statements it commits what it did", async () => {
  await transact(sql, LOCK_WAIT, ({ sql: tx }) => tx`INSERT INTO public.written VALUES ('only')`);
  expect(await written()).toEqual(["only"]);
});

test("when one of the last statements fails nothing is written, and its own error is thrown", async () => {
  const failed = transact(sql, LOCK_WAIT, async ({ sql: tx, commitWith }) => {
    await tx`INSERT INTO public.written VALUES ('before')`;
    await commitWith([
      tx`INSERT INTO public.written VALUES ('with it')`,
      tx`INSERT INTO public.written VALUES ('before')`,
      tx`INSERT INTO public.written VALUES ('after it')`,
    ]);
  });
  expect(await failed.catch(codeOf)).toBe("23505");
  expect(await written()).toEqual([]);
});

test("a statement whose plan no longer fits is not sent again behind COMMIT, and works the next time", async () => {
  await other`CREATE TABLE shaped (what integer)`;
  const write = () =>
    transact(sql, LOCK_WAIT, ({ sql: tx, commitWith }) =>
      commitWith([
        tx`INSERT INTO public.written VALUES (gen_random_uuid()::text)`,
        tx`INSERT INTO public.shaped VALUES (1) RETURNING *`,
      ]),
    );
  await write();
  await other`ALTER TABLE shaped ALTER COLUMN what TYPE bigint`;
  expect(await write().catch(codeOf)).toBe("0A000");
  const count = async () =>
    (await other<{ n: number }[]>`SELECT count(*)::int AS n FROM shaped`)[0]?.n;
  expect(await count()).toBe(1);
  expect(await written()).toHaveLength(1);
  await write();
  expect(await count()).toBe(2);
});

test("an error of the work rolls back, and the connection begins anew", async () => {
  const failed = transact(sql, LOCK_WAIT, async ({ sql: tx }) => {
    await tx`INSERT INTO public.written VALUES ('undone')`;
    throw new Error("no");
  });
  await expect(failed).rejects.toThrow("no");
  await transact(sql, LOCK_WAIT, ({ sql: tx }) => tx`INSERT INTO public.written VALUES ('done')`);
  expect(await written()).toEqual(["done"]);
  expect(await sql`SELECT pg_current_xact_id_if_assigned() AS open`).toEqual([{ open: null }]);
});

test("a failed statement that nobody minded is no commit", async () => {
  const swallowed = transact(sql, LOCK_WAIT, async ({ sql: tx }) => {
    await tx`INSERT INTO public.written VALUES ('undone')`;
    await tx`SELECT 1/0`.catch(() => undefined);
  });
  await expect(swallowed).rejects.toThrow("rolled back");
  expect(await written()).toEqual([]);
});

test("a connection that is lost in it writes nothing on the next one", async () => {
  const lost = transact(sql, LOCK_WAIT, async ({ sql: tx, commitWith }) => {
    const [row] = await tx<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
    await tx`INSERT INTO public.written VALUES ('before')`;
    await other`SELECT pg_terminate_backend(${row?.pid ?? 0}, 5000)`;
    await new Promise((resolve) => setTimeout(resolve, 50));
    await commitWith([tx`INSERT INTO public.written VALUES ('after')`]);
  });
  expect(await lost.catch(codeOf)).toMatch(/CONNECTION_CLOSED|57P01/);
  await transact(sql, LOCK_WAIT, ({ sql: tx }) => tx`INSERT INTO public.written VALUES ('next')`);
  expect(await written()).toEqual(["next"]);
});

test("many at once share the connections of their pool, each in its own transaction", async () => {
  const two = connect(database.url, "transact-two", 2);
  const names = Array.from({ length: 20 }, (_, index) => `${index}`.padStart(2, "0"));
  const outcomes = await Promise.allSettled(
    names.map((name, index) =>
      transact(two, LOCK_WAIT, async ({ sql: tx, commitWith }) => {
        await tx`SELECT pg_sleep(0.005)`;
        const twice = index % 2 === 0 ? [] : [tx`INSERT INTO public.written VALUES (${name})`];
        await commitWith([tx`INSERT INTO public.written VALUES (${name})`, ...twice]);
      }),
    ),
  );
  await two.end({ timeout: 1 });
  expect(outcomes.map(({ status }) => status)).toEqual(
    names.map((_, index) => (index % 2 === 0 ? "fulfilled" : "rejected")),
  );
  expect(await written()).toEqual(names.filter((_, index) => index % 2 === 0));
});
