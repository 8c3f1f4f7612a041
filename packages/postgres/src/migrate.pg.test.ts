import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getTableConfig, PgTable } from "drizzle-orm/pg-core";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { postgresVersionsToTest, startPostgres, type EmbeddedPostgres } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { BrokerError, Secret } from "@mayfly/spec";
import { createRecordingLog } from "@mayfly/testkit";
import { freshDatabase } from "@mayfly/testkit/vitest";
import { checkServer } from "./check-server.ts";
import { describeSchema } from "./describe-schema.ts";
import { readInstallation } from "./installation.ts";
import { migrate } from "./migrate.ts";
import { migrationsDirectory, readMigrations } from "./migration-files.ts";
import { openLedger } from "./open-ledger.ts";
import * as schema from "./schema.ts";
import { connect } from "./sql.ts";
import { TEST_PASSWORDS } from "./testing/test-ledger.ts";

const made: string[] = [];
afterEach(async () => {
  for (const directory of made.splice(0)) await rm(directory, { recursive: true });
});

/** The real migrations in a folder of their own, to be changed. */
async function copiedMigrations(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "mayfly-migrations-"));
  made.push(directory);
  await cp(migrationsDirectory(), directory, { recursive: true });
  return directory;
}

const run = (url: string, directory?: string) =>
  migrate({
    url,
    random: systemRandom,
    passwords: TEST_PASSWORDS,
    ...(directory === undefined ? {} : { directory }),
  });

async function query(url: string, statement: string): Promise<readonly postgres.Row[]> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    return await sql.unsafe(statement);
  } finally {
    await sql.end();
  }
}

const failureOf = async (call: Promise<unknown>): Promise<BrokerError> => {
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!BrokerError.is(error)) throw new Error(`expected a BrokerError, got ${String(error)}`);
  return error;
};

const open = (url: string) =>
  openLedger({
    url,
    clock: systemClock,
    random: systemRandom,
    log: createRecordingLog(),
    applicationName: "test",
  });

describe("migrations", () => {
  test("run from nothing, once, and name the installation for good", async () => {
    const { url } = await freshDatabase();
    expect(await readInstallation(url)).toBeNull();
    const first = await run(url);
    expect(first.applied).toHaveLength(first.version);
    const again = await run(url);
    expect(again).toEqual({ ...first, applied: [] });
    expect(await readInstallation(url)).toEqual(first.installation);
    const owners = await query(
      url,
      `SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class
       WHERE relnamespace IN ('mayfly'::regnamespace, 'mayfly_audit'::regnamespace)`,
    );
    expect(owners).toEqual([{ owner: "mayfly_migrator" }]);
  });

  test("run once also when several migrators start together", async () => {
    const { url } = await freshDatabase();
    const all = await Promise.all([run(url), run(url), run(url)]);
    const applied = all.flatMap((each) => each.applied);
    expect(applied.toSorted()).toEqual(
      (await readMigrations(migrationsDirectory())).map((m) => m.name),
    );
    expect(new Set(all.map((each) => each.installation.id)).size).toBe(1);
  });

  test("add up to the schema in migrations/schema.sql", async () => {
    const { url } = await freshDatabase();
    await run(url);
    const sql = connect(url, "test", 1);
    const described = await describeSchema(sql);
    await sql.end();
    await expect(described).toMatchFileSnapshot("../../../migrations/schema.sql");
  });

  test("agree with the tables and columns that queries are composed of", async () => {
    const { url } = await freshDatabase();
    await run(url);
    const columns = await query(
      url,
      `SELECT table_name || '.' || column_name AS name,
         CASE data_type WHEN 'ARRAY' THEN 'uuid[]' ELSE data_type END AS type,
         is_nullable = 'NO' AS required
       FROM information_schema.columns WHERE table_schema = 'mayfly'`,
    );
    const actual = new Map(columns.map((row) => [String(row["name"]), row]));
    const tables = Object.values(schema).filter((each) => each instanceof PgTable);
    expect(tables.length).toBeGreaterThan(10);
    for (const table of tables) {
      const config = getTableConfig(table);
      const names = config.columns.map((column) => `${config.name}.${column.name}`);
      const present = [...actual.keys()].filter((key) => key.startsWith(`${config.name}.`));
      expect(names.toSorted()).toEqual(present.toSorted());
      for (const column of config.columns) {
        expect(actual.get(`${config.name}.${column.name}`)).toEqual({
          name: `${config.name}.${column.name}`,
          type: column.getSQLType(),
          required: column.notNull,
        });
      }
    }
  });

  test("refuse to go on when one that ran was edited", async () => {
    const { url } = await freshDatabase();
    await run(url);
    const directory = await copiedMigrations();
    const edited = join(directory, "0002_catalog.sql");
    await writeFile(edited, `${await readFile(edited, "utf8")}\n-- a late thought\n`);
    const error = await failureOf(run(url, directory));
    expect(error.code).toBe("config_invalid");
    expect(error.message).toContain("0002_catalog");
  });

  test("that fail leave nothing of themselves, and all before them", async () => {
    const { url } = await freshDatabase();
    const directory = await copiedMigrations();
    const bad = "-- breaking: no\nCREATE TABLE mayfly.half (n int);\nSELECT 1 / 0;\n";
    await writeFile(join(directory, "0099_bad.sql"), bad);
    await expect(run(url, directory)).rejects.toThrow("expected number");
    const count = (await readMigrations(migrationsDirectory())).length;
    await rm(join(directory, "0099_bad.sql"));
    const next = `${String(count + 1).padStart(4, "0")}_bad.sql`;
    await writeFile(join(directory, next), bad);
    expect((await failureOf(run(url, directory))).code).toBe("invalid_input");
    expect(await query(url, "SELECT to_regclass('mayfly.half')::text AS half")).toEqual([
      { half: null },
    ]);
    expect(await query(url, "SELECT max(version) AS last FROM mayfly.schema_versions")).toEqual([
      { last: count },
    ]);
  });

  test("a newer schema is worked with unless it breaks older binaries", async () => {
    const { url } = await freshDatabase();
    await run(url);
    const insert = (version: number, breaking: boolean): string =>
      `INSERT INTO mayfly.schema_versions VALUES (${version}, 'x_${version}', 'c', ${breaking})`;
    await query(url, insert(98, false));
    const ledger = await open(url);
    await ledger.close();
    expect((await run(url)).applied).toEqual([]);
    await query(url, insert(99, true));
    for (const call of [() => open(url), () => run(url)]) {
      const error = await failureOf(call());
      expect(error.code).toBe("config_invalid");
      expect(error.message).toContain("newer version");
    }
  });

  test("a ledger that was not migrated is not opened, and says what to run", async () => {
    const { url } = await freshDatabase();
    const error = await failureOf(open(url));
    expect(error.code).toBe("config_invalid");
    expect(error.message).toContain("mayfly migrate");
  });

  test("each file says whether it breaks older binaries", async () => {
    const directory = await copiedMigrations();
    await writeFile(join(directory, "0001_history.sql"), "SELECT 1;\n");
    await expect(readMigrations(directory)).rejects.toThrow("-- breaking");
  });

  test("a password that is no printable ASCII is refused before it is set", async () => {
    const { url } = await freshDatabase();
    const passwords = { mayfly_auditor: Secret.of("short") };
    const error = await failureOf(migrate({ url, random: systemRandom, passwords }));
    expect(error.message).toContain("mayfly_auditor");
    expect(error.message).not.toContain("short ");
  });
});

describe.for(postgresVersionsToTest())("without a superuser, on PostgreSQL %s", (version) => {
  let server: EmbeddedPostgres;
  beforeAll(async () => {
    server = await startPostgres({ version, unsafeNoFsync: true });
    const admin = server.url("postgres");
    await query(admin, "CREATE ROLE operator LOGIN CREATEROLE PASSWORD 'operator'");
    await query(admin, "CREATE ROLE stranger LOGIN PASSWORD 'stranger'");
    await query(admin, "CREATE DATABASE owned OWNER operator");
    await query(admin, "CREATE DATABASE other");
  });
  afterAll(() => server.stop("immediate"));
  const migrateAs = (user: string, database: string) =>
    migrate({ url: server.url(database, user, user), random: systemRandom });

  test("a login without the rights is told what to run", async () => {
    const error = await failureOf(migrateAs("stranger", "owned"));
    expect(error.code).toBe("check_failed");
    expect(error.message).toContain("CREATE ROLE mayfly_broker NOLOGIN;");
  });

  test("the database's owner who may make roles migrates, and the migrator owns the result", async () => {
    const { applied } = await migrateAs("operator", "owned");
    expect(applied[0]).toBe("0001_history");
    const owner =
      "SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname = 'leases'";
    expect(await query(server.url("owned"), owner)).toEqual([{ owner: "mayfly_migrator" }]);
    expect((await migrateAs("operator", "owned")).applied).toEqual([]);
    const elsewhere = await failureOf(migrateAs("operator", "other"));
    expect(elsewhere.message).toContain("GRANT CREATE ON DATABASE other TO mayfly_migrator;");
  });

  test("the migrator's own login migrates once it was given its right", async () => {
    const admin = server.url("other");
    await query(admin, "ALTER ROLE mayfly_migrator LOGIN PASSWORD 'mayfly_migrator'");
    await query(admin, "GRANT CREATE ON DATABASE other TO mayfly_migrator");
    expect((await migrateAs("mayfly_migrator", "other")).applied).not.toEqual([]);
  });
});

describe("the server check", () => {
  test("names what would lose commits and who has too many rights, with what to do", async () => {
    const { url } = await freshDatabase();
    await run(url);
    await query(url, "GRANT DELETE ON mayfly.sweeps TO mayfly_worker");
    const { problems, clockSkewMs, version } = await checkServer({ url, clock: systemClock });
    const codes = problems.map((problem) => problem.code);
    // The tests' server runs without fsync, and this is its superuser.
    expect(codes).toContain("fsync_off");
    expect(codes).toContain("connected_as_superuser");
    expect(problems.find((problem) => problem.code === "excess_right")).toEqual({
      code: "excess_right",
      what: "mayfly_worker has DELETE on mayfly.sweeps.",
      fix: "REVOKE DELETE ON mayfly.sweeps FROM mayfly_worker;",
    });
    // One clock: what is left is half of how long the answer took.
    expect(Math.abs(clockSkewMs)).toBeLessThan(10_000);
    expect(version).toMatch(/^\d+\.\d+/);
  });

  test("bears that other roles of the server are dropped meanwhile", async () => {
    const { url } = await freshDatabase();
    await run(url);
    const others = postgres(url, { max: 1, onnotice: () => undefined });
    let isChecking = true;
    const churn = async (): Promise<void> => {
      while (isChecking) {
        await others.unsafe("CREATE ROLE passing");
        await others.unsafe("DROP ROLE passing");
      }
    };
    const churning = churn();
    try {
      for (let check = 0; check < 100; check++) {
        const { problems } = await checkServer({ url, clock: systemClock });
        expect(problems.map(({ code }) => code)).not.toContain("excess_right");
      }
    } finally {
      isChecking = false;
      await churning;
      await others.end();
    }
  });

  test("a server that is not there is an unavailable ledger", async () => {
    const url = "postgres://nobody@127.0.0.1:1/nowhere";
    expect((await failureOf(checkServer({ url, clock: systemClock }))).code).toBe(
      "ledger_unavailable",
    );
    expect((await failureOf(open(url))).code).toBe("ledger_unavailable");
    expect((await failureOf(run(url))).code).toBe("ledger_unavailable");
  });
});
