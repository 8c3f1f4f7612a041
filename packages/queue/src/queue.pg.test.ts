import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  freshDatabase,
  reachableDataDir,
  startPostgres,
  type EmbeddedPostgres,
} from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { instantMs, parseBackendId, parseId, Secret, type BackendId } from "@mayfly/spec";
import { createRecordingLog } from "@mayfly/testkit";
import { describeQueueContract } from "@mayfly/testkit/contract";
import { createAlarmClock } from "./create-alarm-clock.ts";
import { createAlarmListener } from "./create-alarm-listener.ts";
import { migrateQueue, queueGrants } from "./migrate-queue.ts";
import type { PostgresQueueConfig } from "./queue-config.ts";

const ORDERS = parseBackendId("orders-db", "test");
const LEASE = parseId("lease", `lease_0199aabbccdd7eee8${"0".repeat(15)}`, "test");
const RUNTIME = { user: "queue_runtime", password: "runtime-password" };
const MIGRATOR = { user: "queue_migrator", password: "migrator-password" };

async function query(url: string, sql: string): Promise<readonly Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** A database of its own with the queue in it, made by the migrator, used by the runtime role. */
async function freshQueue(pg: EmbeddedPostgres): Promise<PostgresQueueConfig> {
  const name = `q_${randomBytes(5).toString("hex")}`;
  const superuser = await freshDatabase(pg, name);
  await query(superuser, `GRANT CREATE ON DATABASE ${name} TO ${MIGRATOR.user}`);
  const migrator = Secret.of(pg.url(name, MIGRATOR.user, MIGRATOR.password));
  await migrateQueue({ connection: migrator, schema: "mayfly_queue" });
  await query(migrator.expose("upstream"), queueGrants(RUNTIME.user, "mayfly_queue"));
  return {
    kind: "postgres",
    connection: Secret.of(pg.url(name, RUNTIME.user, RUNTIME.password)),
    schema: "mayfly_queue",
  };
}

async function makeRoles(pg: EmbeddedPostgres): Promise<void> {
  for (const { user, password } of [RUNTIME, MIGRATOR]) {
    await query(pg.url("postgres"), `CREATE ROLE ${user} LOGIN PASSWORD '${password}'`);
  }
}

describe("on PostgreSQL, as a role that may use the queue and no more", () => {
  let pg: EmbeddedPostgres;
  beforeAll(async () => {
    pg = await startPostgres({ unsafeNoFsync: true });
    await makeRoles(pg);
  });
  afterAll(() => pg.stop("immediate"));

  describeQueueContract("BullMQ on PostgreSQL", {
    create: async (log) => {
      const config = await freshQueue(pg);
      const ports = { clock: systemClock, log, random: systemRandom };
      const alarmClock = createAlarmClock({ config, ports });
      const listener = createAlarmListener({ config, ports, closeTimeoutMs: 1_000 });
      return {
        clock: systemClock,
        alarmClock,
        listener,
        latenessMs: 600,
        pass: (ms) => systemClock.sleep(ms),
        payloads: async () => {
          const rows = await query(
            config.connection.expose("upstream"),
            "SELECT data FROM mayfly_queue.job",
          );
          return rows.map((row) => row["data"]);
        },
        failuresReported: () => log.messages("error").length,
        close: async () => {
          await alarmClock.close();
          await listener.close();
        },
      };
    },
  });

  test("migrating twice changes nothing and answers the same version", async () => {
    const name = `q_${randomBytes(5).toString("hex")}`;
    const connection = Secret.of(await freshDatabase(pg, name));
    const first = await migrateQueue({ connection, schema: "q" });
    expect(await migrateQueue({ connection, schema: "q" })).toBe(first);
    expect(first).toBeGreaterThan(0);
  });

  test("without the migration a call says so in its cause, and works once it was run", async () => {
    const name = `q_${randomBytes(5).toString("hex")}`;
    const connection = Secret.of(await freshDatabase(pg, name));
    const config: PostgresQueueConfig = { kind: "postgres", connection, schema: "q" };
    const ports = { clock: systemClock, log: createRecordingLog(), random: systemRandom };
    const alarmClock = createAlarmClock({ config, ports });
    await expect(alarmClock.wakeNow([ORDERS])).rejects.toMatchObject({
      code: "internal",
      cause: { name: "SchemaMigrationRequiredError" },
    });
    await migrateQueue({ connection, schema: "q" });
    await expect
      .poll(() => alarmClock.wakeNow([ORDERS]).then(() => "taken"), { timeout: 20_000 })
      .toBe("taken");
    await alarmClock.close();
  });

  test("the runtime role can neither change the schema nor its version", async () => {
    const url = (await freshQueue(pg)).connection.expose("upstream");
    for (const sql of [
      "CREATE TABLE mayfly_queue.mine (id int)",
      "DELETE FROM mayfly_queue.migration",
      "DROP TABLE mayfly_queue.job",
      "CREATE SCHEMA mine",
    ]) {
      await expect(query(url, sql), sql).rejects.toMatchObject({ code: "42501" });
    }
  });

  test("names in the grants are quoted", () => {
    expect(queueGrants('a"; DROP ROLE b; --', "q")).toContain('TO "a""; DROP ROLE b; --";');
    expect(() => queueGrants("a", 'q"; DROP')).toThrow("queue: schema");
    expect(() => queueGrants("x".repeat(64), "q")).toThrow("1 to 63 bytes");
  });
});

test("PostgreSQL away: calls reject quickly; back again: both ends recover", async () => {
  const scratch = await mkdtemp(join(tmpdir(), "mayfly-queue-"));
  const dataDir = await reachableDataDir(join(scratch, "data"));
  let pg = await startPostgres({ dataDir, unsafeNoFsync: true });
  try {
    await makeRoles(pg);
    const config = await freshQueue(pg);
    const log = createRecordingLog();
    const ports = { clock: systemClock, log, random: systemRandom };
    const timeoutMs = 1_000;
    const alarmClock = createAlarmClock({ config, ports, timeoutMs });
    const listener = createAlarmListener({ config, ports, timeoutMs });
    const rings: BackendId[] = [];
    await listener.listen(async (backendId) => {
      rings.push(backendId);
    });
    await alarmClock.wakeNow([ORDERS]);
    await expect.poll(() => rings.length, { timeout: 20_000 }).toBe(1);
    const at = instantMs(systemClock.now() + 1_500);
    await alarmClock.wakeAt({ leaseId: LEASE, backendId: ORDERS, at, generation: 0 });

    // Not "immediate": without fsync that may lose the alarm, which would be nobody's failure.
    await pg.stop("fast");
    const beganMs = systemClock.monotonicMs();
    await expect(alarmClock.wakeNow([ORDERS])).rejects.toMatchObject({ code: "internal" });
    // The driver alone would try for longer; a busy machine is late with what was due.
    expect(systemClock.monotonicMs() - beganMs).toBeLessThan(timeoutMs * 12);

    pg = await startPostgres({ dataDir, port: pg.port, unsafeNoFsync: true });
    await expect.poll(() => rings.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2);
    const heard = rings.length;
    await expect
      .poll(() => alarmClock.wakeNow([ORDERS]).then(() => "taken"), { timeout: 20_000 })
      .toBe("taken");
    await expect.poll(() => rings.length, { timeout: 20_000 }).toBeGreaterThan(heard);
    log.assertNoSecret(RUNTIME.password);
    await Promise.all([alarmClock.close(), listener.close()]);
  } finally {
    await pg.stop("immediate");
    await rm(scratch, { recursive: true, force: true });
  }
});
