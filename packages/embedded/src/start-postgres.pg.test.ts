import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isGoneWithin } from "./__fixtures__/held-server.ts";
import {
  EmbeddedError,
  freshDatabase,
  postgresVersionsToTest,
  startPostgres,
  type EmbeddedPostgres,
} from "./index.ts";

async function ask(url: string, query: string): Promise<unknown[]> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    const rows: unknown[][] = await sql.unsafe(query).values();
    return rows.flat();
  } finally {
    await sql.end({ timeout: 5 });
  }
}

async function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "mayfly-test-"));
}

describe.each(postgresVersionsToTest())("a started PostgreSQL %i", (version) => {
  let pg: EmbeddedPostgres;
  let url: string;
  const lines: string[] = [];

  beforeAll(async () => {
    pg = await startPostgres({
      version,
      unsafeNoFsync: true,
      settings: { max_connections: "23" },
      log: (line) => lines.push(line),
    });
    url = pg.url("postgres");
  });
  afterAll(() => pg.stop());

  test("is the version that was asked for, and says so", async () => {
    expect(pg.version.split(".")[0]).toBe(String(version));
    expect(await ask(url, "SHOW server_version")).toEqual([pg.version]);
  });

  test("takes the caller's settings", async () => {
    expect(await ask(url, "SHOW max_connections")).toEqual(["23"]);
    expect(await ask(url, "SHOW fsync")).toEqual(["off"]);
  });

  test("listens on the loopback address alone, and on no socket file", async () => {
    expect(await ask(url, "SHOW listen_addresses")).toEqual(["127.0.0.1"]);
    expect(await ask(url, "SHOW unix_socket_directories")).toEqual([""]);
  });

  test("refuses the superuser with another password", async () => {
    await expect(ask(pg.url("postgres", "postgres", "wrong"), "SELECT 1")).rejects.toMatchObject({
      code: "28P01",
    });
  });

  test("does not run as root, and otherwise as whoever started it", async () => {
    const { uid } = await stat(join(pg.dataDir, "PG_VERSION"));
    const own = process.getuid?.();
    if (own === 0) expect(uid).not.toBe(0);
    else expect(uid).toBe(own);
  });

  test("does not repeat the password of a failed statement in its log", async () => {
    const statement = "CREATE ROLE postgres PASSWORD 'canary-in-the-log'";
    await expect(ask(url, statement)).rejects.toMatchObject({ code: "42710" });
    expect(lines.join("\n")).toContain('role "postgres" already exists');
    expect(lines.join("\n")).not.toContain("canary-in-the-log");
  });

  test("gives a fresh database, and one that is a copy of another", async () => {
    const first = await freshDatabase(pg, "first");
    await ask(first, "CREATE TABLE kept AS SELECT 42 AS answer");
    const copy = await freshDatabase(pg, undefined, "first");
    expect(copy).not.toBe(first);
    expect(await ask(copy, "SELECT answer FROM kept")).toEqual([42]);
  });

  test("refuses a database name that would need quoting", async () => {
    await expect(freshDatabase(pg, 'x"; DROP DATABASE postgres')).rejects.toThrow(EmbeddedError);
  });
});

test("PostgreSQL is durable unless told otherwise, and its data outlive it", async () => {
  const folder = await newFolder();
  // An empty directory that root made is as good as none.
  const first = await startPostgres({ dataDir: folder });
  expect(await ask(first.url("postgres"), "SHOW fsync")).toEqual(["on"]);
  await ask(first.url("postgres"), "CREATE TABLE kept AS SELECT 7 AS answer");
  await first.stop();
  expect(await isGoneWithin(first.pid, 0)).toBe(true);

  const second = await startPostgres({ dataDir: folder });
  expect(second.superuser).toEqual(first.superuser);
  expect(await ask(second.url("postgres"), "SELECT answer FROM kept")).toEqual([7]);
  await second.stop("immediate");
  expect((await stat(join(folder, "PG_VERSION"))).isFile()).toBe(true);
  await rm(folder, { recursive: true });
});

test("a killed PostgreSQL starts again with what it had committed", async () => {
  const folder = await newFolder();
  const first = await startPostgres({ dataDir: folder });
  await ask(first.url("postgres"), "CREATE TABLE kept AS SELECT 9 AS answer");
  // A session at work sees the end of its server late, and keeps its memory until then.
  const session = postgres(first.url("postgres"), { max: 1, onnotice: () => undefined });
  await session`SELECT 1`;
  const work = session
    .unsafe(`DO $$
    DECLARE until timestamptz := clock_timestamp() + interval '1500 ms';
    BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $$`)
    .catch(() => undefined);
  await ask(first.url("postgres"), "SELECT pg_sleep(0.1)");
  first.kill();
  expect(await first.exited).toEqual({ code: null, signal: "SIGKILL" });

  const second = await startPostgres({ dataDir: folder, persistent: false });
  expect(await ask(second.url("postgres"), "SELECT answer FROM kept")).toEqual([9]);
  await session.end({ timeout: 0 });
  await work;
  await second.stop();
  await expect(stat(folder)).rejects.toMatchObject({ code: "ENOENT" });
});

test("a temporary PostgreSQL leaves no directory behind when its scope ends", async () => {
  let dataDir = "";
  {
    await using pg = await startPostgres({ unsafeNoFsync: true });
    dataDir = pg.dataDir;
    expect((await stat(dataDir)).isDirectory()).toBe(true);
  }
  await expect(stat(dataDir)).rejects.toMatchObject({ code: "ENOENT" });
});

test("what a start that died half-way left behind is cleared", async () => {
  const dataDir = await newFolder();
  await mkdir(`${dataDir}.unfinished/data/base`, { recursive: true });
  await writeFile(`${dataDir}.unfinished/mayfly.owner`, "999999999 1\n");
  const pg = await startPostgres({ dataDir, unsafeNoFsync: true, persistent: false });
  await expect(stat(`${dataDir}.unfinished`)).rejects.toMatchObject({ code: "ENOENT" });
  await pg.stop();
});

test("a directory that is not PostgreSQL's, or another version's, is left alone", async () => {
  const foreign = await newFolder();
  await writeFile(join(foreign, "thesis.txt"), "irreplaceable");
  await expect(startPostgres({ dataDir: foreign })).rejects.toThrow(/holds thesis\.txt/);

  const older = await newFolder();
  await writeFile(join(older, "PG_VERSION"), "14\n");
  await expect(startPostgres({ dataDir: older })).rejects.toThrow(/PostgreSQL 14, not 18/);
  expect((await stat(join(foreign, "thesis.txt"))).size).toBe(13);
  await Promise.all([foreign, older].map((folder) => rm(folder, { recursive: true })));
});

test("a port that was asked for and is taken is an error that says so", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const dataDir = await newFolder();
  await expect(startPostgres({ dataDir, port, unsafeNoFsync: true })).rejects.toThrow(
    /could not bind.*Address already in use/,
  );
  taken.close();
  await rm(dataDir, { recursive: true });
});

test("an unknown option and a setting that would open the server are refused by name", async () => {
  const misspelt = { persistent: false, dataDirectory: "/nowhere" };
  await expect(startPostgres(misspelt)).rejects.toThrow(/unknown option "dataDirectory"/);
  const open = { settings: { listen_addresses: "*" } };
  await expect(startPostgres(open)).rejects.toThrow(/"listen_addresses" is not accepted/);
});
