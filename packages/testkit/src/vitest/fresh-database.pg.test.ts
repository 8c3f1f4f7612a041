import postgres from "postgres";
import { expect, test } from "vitest";
import { freshDatabase, testPostgres, type DatabaseTemplate } from "./fresh-database.ts";

async function query(url: string, statement: string): Promise<readonly unknown[]> {
  const sql = postgres(url, { max: 1 });
  try {
    return [...(await sql.unsafe(statement))];
  } finally {
    await sql.end();
  }
}

test("each fresh database is another one on the same server", async () => {
  const [first, second] = [await freshDatabase(), await freshDatabase({ prefix: "other" })];
  await query(first.url, "CREATE TABLE seen (n int)");

  expect(await query(first.url, "SELECT to_regclass('seen')::text AS seen")).toEqual([
    { seen: "seen" },
  ]);
  expect(await query(second.url, "SELECT to_regclass('seen')::text AS seen")).toEqual([
    { seen: null },
  ]);
  expect(second.name).toMatch(/^other_/);
  expect(new URL(first.url).port).toBe(String(testPostgres().port));
});

test("a template is made once, also when two ask at the same time, and copied", async () => {
  let made = 0;
  const template: DatabaseTemplate = {
    name: "made_once",
    make: async (url) => {
      made++;
      await query(url, "CREATE TABLE filled AS SELECT 7 AS n");
    },
  };
  const copies = await Promise.all([freshDatabase({ template }), freshDatabase({ template })]);

  for (const { url } of copies) expect(await query(url, "TABLE filled")).toEqual([{ n: 7 }]);
  expect(made).toBe(1);
});

test("a template whose making failed is made anew", async () => {
  const failing: DatabaseTemplate = {
    name: "made_again",
    make: async (url) => {
      await query(url, "CREATE TABLE half (n int)");
      throw new Error("died half-way");
    },
  };
  await expect(freshDatabase({ template: failing })).rejects.toThrow("died half-way");

  const { url } = await freshDatabase({
    template: {
      name: "made_again",
      make: async (at) => {
        await query(at, "SELECT 1");
      },
    },
  });
  expect(await query(url, "SELECT to_regclass('half')::text AS half")).toEqual([{ half: null }]);
});

test("a role of its own connects with urlAs", async () => {
  const database = await freshDatabase();
  await query(database.url, `CREATE ROLE "r_${database.name}" LOGIN PASSWORD 'p@ss/word'`);

  expect(
    await query(database.urlAs(`r_${database.name}`, "p@ss/word"), "SELECT current_user AS me"),
  ).toEqual([{ me: `r_${database.name}` }]);
});
