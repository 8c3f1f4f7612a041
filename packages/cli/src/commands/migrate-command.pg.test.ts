import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createHash } from "node:crypto";
import { freshDatabase, startPostgres, type EmbeddedPostgres } from "@mayfly/embedded";
import { createJsonLog, systemClock, systemRandom } from "@mayfly/host";
import { openLedger, readBootstrapTokenSha256, storeBootstrapTokenSha256 } from "@mayfly/postgres";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const TOKEN = /^mayfly_admin_[A-Za-z0-9_-]{43}$/;

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The command as its own process, with these variables and no terminal. */
async function mayfly(args: readonly string[], environment: Record<string, string>): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject).on("close", resolve);
  });
  return { code, out, err };
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

let server: EmbeddedPostgres;
let folder: string;
// Roles belong to the server and get passwords here, so it is one of this file's own.
beforeAll(async () => {
  server = await startPostgres({ unsafeNoFsync: true });
  folder = await mkdtemp(join(tmpdir(), "mayfly-cli-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await server.stop("immediate");
});

async function statement(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    return [...(await sql.unsafe(text))];
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** What the worker does between two commands: gives each event its place in the log. */
async function sequence(url: string): Promise<number> {
  const ledger = await openLedger({
    url,
    clock: systemClock,
    random: systemRandom,
    log: createJsonLog({ level: "silent", stream: { write: () => true }, clock: systemClock }),
    applicationName: "test",
  });
  try {
    return await ledger.sequencer.append(1_000);
  } finally {
    await ledger.close();
  }
}

test("migrate prints the administrator's token once, and again changes nothing", async () => {
  const url = await freshDatabase(server, "once");
  const first = await mayfly(["migrate", "--json"], { MAYFLY_DATABASE_URL: url });
  expect(first.code, first.err).toBe(0);
  const done = JSON.parse(first.out) as Record<string, unknown>;
  const token = String(done["admin_token"]);
  expect(token).toMatch(TOKEN);
  expect(done["applied"]).toContain("0007_bootstrap_token");
  expect(await readBootstrapTokenSha256(url)).toBe(sha256(token));

  const again = await mayfly(["migrate"], { MAYFLY_DATABASE_URL: url });
  expect(again.code, again.err).toBe(0);
  expect(again.out).toContain("was up to date");
  expect(again.out + again.err).not.toContain("mayfly_admin_");
  expect(await readBootstrapTokenSha256(url)).toBe(sha256(token));
});

test("of two that migrate at the same time one prints a token, and it is the one that counts", async () => {
  const url = await freshDatabase(server, "raced");
  const both = await Promise.all(
    [1, 2].map(() => mayfly(["migrate", "-q"], { MAYFLY_DATABASE_URL: url })),
  );
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  const tokens = both.map(({ out }) => out.trim()).filter((out) => out !== "");
  expect(tokens).toHaveLength(1);
  expect(await readBootstrapTokenSha256(url)).toBe(sha256(tokens[0] ?? ""));
});

test("the token is stored nowhere, and only its hash is in the database", async () => {
  const url = await freshDatabase(server, "hash_only");
  const { out } = await mayfly(["migrate", "-q"], { MAYFLY_DATABASE_URL: url });
  expect(out).toMatch(/^mayfly_admin_[A-Za-z0-9_-]{43}\n$/);
  const rows = await statement(
    url,
    "SELECT (SELECT row_to_json(t)::text FROM mayfly.bootstrap_token t) AS token, " +
      "(SELECT json_agg(e)::text FROM mayfly.events e) AS events",
  );
  expect(JSON.stringify(rows)).toContain(sha256(out.trim()));
  expect(JSON.stringify(rows)).toContain("admin_token.created");
  expect(JSON.stringify(rows)).not.toContain(out.trim());
});

test("rotation replaces the token, and without a terminal only with --yes", async () => {
  const url = await freshDatabase(server, "rotated");
  const environment = { MAYFLY_DATABASE_URL: url };
  const { out: first } = await mayfly(["migrate", "-q"], environment);

  const refused = await mayfly(["admin-token", "rotate"], environment);
  expect(refused.code).toBe(2);
  expect(refused.err).toContain("--yes");
  expect(await readBootstrapTokenSha256(url)).toBe(sha256(first.trim()));

  const rotated = await mayfly(["admin-token", "rotate", "--yes", "-q"], environment);
  expect(rotated.code, rotated.err).toBe(0);
  expect(rotated.out.trim()).toMatch(TOKEN);
  expect(rotated.out).not.toBe(first);
  expect(await readBootstrapTokenSha256(url)).toBe(sha256(rotated.out.trim()));
  const events = await statement(url, "SELECT kind, actor FROM mayfly.events ORDER BY id");
  expect(events.map(({ kind }) => kind)).toEqual(["admin_token.created", "admin_token.replaced"]);
});

test("the broker can read the hash and not write it; worker and auditor cannot, and verify", async () => {
  const url = await freshDatabase(server, "rights");
  const password = "a password of this test";
  const file = join(folder, "password");
  await writeFile(file, `${password}\n`);
  const roles = ["mayfly_broker", "mayfly_worker", "mayfly_auditor"];
  const args = roles.flatMap((role) => ["--password-file", `${role}=${file}`]);
  const migrated = await mayfly(["migrate", ...args], { MAYFLY_DATABASE_URL: url });
  expect(migrated.code, migrated.err).toBe(0);
  const as = (role: string): string => server.url("rights", role, password);

  expect(await readBootstrapTokenSha256(as("mayfly_broker"))).toMatch(/^[0-9a-f]{64}$/);
  const write = "UPDATE mayfly.bootstrap_token SET sha256 = sha256";
  await expect(statement(as("mayfly_broker"), write)).rejects.toThrow("permission denied");
  const read = "TABLE mayfly.bootstrap_token";
  await expect(statement(as("mayfly_worker"), read)).rejects.toThrow("permission denied");
  await expect(statement(as("mayfly_auditor"), read)).rejects.toThrow("permission denied");

  const auditor = { MAYFLY_DATABASE_URL: as("mayfly_auditor") };
  const verified = await mayfly(["ledger", "verify"], auditor);
  expect(verified.code, verified.err).toBe(0);
  expect(verified.out).toContain("verified");
  const refused = await mayfly(["admin-token", "rotate", "--yes"], auditor);
  expect(refused.code, refused.err).toBe(3);
  expect(refused.err).toContain("The database role mayfly_auditor may not do this");
  expect(refused.err).toContain("mayfly_migrator");
  const worker = { MAYFLY_DATABASE_URL: as("mayfly_worker") };
  expect((await mayfly(["ledger", "verify"], worker)).code).toBe(0);

  const queue = "SELECT has_schema_privilege('mayfly_worker', 'mayfly_queue', 'USAGE') AS usage";
  expect(await statement(url, queue)).toEqual([{ usage: true }]);
});

test("a role with CREATEROLE that owns the database may migrate, and rotate the token", async () => {
  const own = await startPostgres({ unsafeNoFsync: true });
  try {
    const make = "CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'a password of this test'";
    await statement(own.url("postgres"), make);
    await statement(own.url("postgres"), "CREATE DATABASE mayfly OWNER owner");
    const environment = {
      MAYFLY_DATABASE_URL: own.url("mayfly", "owner", "a password of this test"),
    };
    const migrated = await mayfly(["migrate", "-q"], environment);
    expect(migrated.code, migrated.err).toBe(0);
    expect(migrated.out.trim()).toMatch(TOKEN);
    expect((await mayfly(["migrate", "-q"], environment)).out).toBe("");
    const rotated = await mayfly(["admin-token", "rotate", "--yes", "-q"], environment);
    expect(rotated.code, rotated.err).toBe(0);
  } finally {
    await own.stop("immediate");
  }
});

test("verify names the entry that was altered and ends with 1", async () => {
  const url = await freshDatabase(server, "verified");
  const environment = { MAYFLY_DATABASE_URL: url };
  await mayfly(["migrate"], environment);
  for (const text of ["a", "b", "c"]) await storeBootstrapTokenSha256(url, sha256(text), "replace");
  expect(await sequence(url)).toBe(4);

  const whole = await mayfly(["ledger", "verify"], environment);
  expect(whole.code, whole.err).toBe(0);
  expect(whole.out).toContain("4 entries verified");
  const json = await mayfly(["ledger", "verify", "--from", "1", "--json"], environment);
  expect(JSON.parse(json.out)).toMatchObject({ ok: true, entries: 3, pending: 0 });

  await statement(
    url,
    `UPDATE mayfly.events SET data = '{"by": "nobody"}' WHERE id = (
      SELECT event_id FROM mayfly.log_entries WHERE log_index = 2)`,
  );
  const broken = await mayfly(["ledger", "verify"], environment);
  expect(broken.code).toBe(1);
  expect(broken.out).toContain("broken at entry 2");
  const brokenJson = await mayfly(["ledger", "verify", "--json"], environment);
  expect(brokenJson.code).toBe(1);
  expect(JSON.parse(brokenJson.out)).toMatchObject({ ok: false, log_index: 2 });
});

test("a ledger that is not there is said so, and its password is not", async () => {
  const url = "postgres://mayfly:hunter2hunter2@127.0.0.1:1/mayfly";
  for (const args of [
    ["migrate"],
    ["ledger", "verify", "--json"],
    ["admin-token", "rotate", "--yes"],
  ]) {
    const { code, out, err } = await mayfly(args, { MAYFLY_DATABASE_URL: url });
    expect(code, err).toBe(5);
    expect(err).toContain("ledger_unavailable");
    expect(err).toContain("ECONNREFUSED");
    expect(out + err).not.toContain("hunter2");
  }
});

test("a ledger that was never migrated is told what to run", async () => {
  const url = await freshDatabase(server, "empty");
  const { code, err } = await mayfly(["ledger", "verify"], { MAYFLY_DATABASE_URL: url });
  expect(code).toBe(3);
  expect(err).toContain("mayfly migrate");
});

test("doctor finds a server that may lose commits, and says how to mend it", async () => {
  const url = await freshDatabase(server, "doctored");
  await mayfly(["migrate"], { MAYFLY_DATABASE_URL: url });
  const environment = { MAYFLY_DATABASE_URL: url, MAYFLY_URL: "http://127.0.0.1:1" };
  const { code, out } = await mayfly(["doctor"], environment);
  expect(code).toBe(1);
  // The server of this test runs without fsync.
  expect(out).toContain("fsync is off");
  expect(out).toContain("ALTER SYSTEM SET fsync = on;");
  expect(out).toContain("does not answer");
});
