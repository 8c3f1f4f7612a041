import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterEach, beforeEach, expect, test } from "vitest";
import { holdServer, isGoneWithin, killHard } from "./__fixtures__/held-server.ts";
import { freePort, startPostgres } from "./index.ts";
import { postgresBinaries } from "./postgres-binaries.ts";
import { startMarkOf } from "./process-table.ts";
import { unprivilegedUser } from "./os-user.ts";

let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "mayfly-test-"));
});
afterEach(() => rm(dataDir, { recursive: true }));

async function credentials(): Promise<{ uid: number; gid: number } | object> {
  const user = await unprivilegedUser(dataDir);
  return user === undefined ? {} : { uid: user.uid, gid: user.gid };
}

test("a PostgreSQL whose parent is killed ends by itself, cleanly", async () => {
  const holder = await holdServer("postgres", dataDir);
  expect(await startMarkOf(holder.server.pid)).toBeDefined();
  await killHard(holder.process);
  expect(await isGoneWithin(holder.server.pid, 5_000)).toBe(true);
  // A clean end removes the file; a killed server leaves it.
  await expect(stat(join(dataDir, "postmaster.pid"))).rejects.toMatchObject({ code: "ENOENT" });
});

test("a start ends the server that an earlier, dead process left in the directory", async () => {
  const holder = await holdServer("postgres", dataDir);
  await killHard(holder.process);
  expect(await isGoneWithin(holder.server.pid, 5_000)).toBe(true);
  // Started without a guard, as by a parent whose guard was killed with it.
  const { postgres: program } = await postgresBinaries(18, await unprivilegedUser(dataDir));
  const settings = ["-c", `port=${await freePort()}`, "-c", "unix_socket_directories="];
  const orphan = spawn(program, ["-D", dataDir, ...settings], {
    ...(await credentials()),
    cwd: "/",
    stdio: ["ignore", "ignore", "pipe"],
  });
  for await (const chunk of orphan.stderr) {
    if (String(chunk).includes("ready to accept connections")) break;
  }

  const lines: string[] = [];
  const pg = await startPostgres({ dataDir, log: (line) => lines.push(line) });
  expect(await isGoneWithin(orphan.pid!, 0)).toBe(true);
  expect(lines[0]).toContain(`ending postgres process ${orphan.pid}`);
  const sql = postgres(pg.url("postgres"), { max: 1 });
  expect(await sql`SELECT 1 AS one`).toEqual([{ one: 1 }]);
  await sql.end();
  await pg.stop();
});

test("a start leaves a server alone whose owner lives, and names the owner", async () => {
  const holder = await holdServer("postgres", dataDir);
  await expect(startPostgres({ dataDir })).rejects.toThrow(
    `process ${holder.server.pid} and belongs to process ${holder.process.pid}`,
  );
  expect(await startMarkOf(holder.server.pid)).toBeDefined();
  await killHard(holder.process);
  expect(await isGoneWithin(holder.server.pid, 5_000)).toBe(true);
});

test("a start right after its parent was killed waits for the one that is ending", async () => {
  const holder = await holdServer("postgres", dataDir);
  await killHard(holder.process);
  const pg = await startPostgres({ dataDir });
  expect(await isGoneWithin(holder.server.pid, 0)).toBe(true);
  await pg.stop();
});

test("a stale postmaster.pid whose process id is a stranger's now is no obstacle", async () => {
  const first = await startPostgres({ dataDir });
  first.kill();
  await first.exited;
  const stranger = spawn("sleep", ["60"], { ...(await credentials()), stdio: "ignore" });
  await once(stranger, "spawn");
  const file = join(dataDir, "postmaster.pid");
  const [, ...rest] = (await readFile(file, "utf8")).split("\n");
  await writeFile(file, [String(stranger.pid), ...rest].join("\n"));

  const pg = await startPostgres({ dataDir });
  await pg.stop();
  expect(await startMarkOf(stranger.pid!)).toBeDefined();
  await killHard(stranger);
});
