import { copyFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  asSuperuser,
  codeOf,
  grantedOf,
  sharedServer,
  startInstallation,
  until,
  type RunningBroker,
} from "../harness/index.ts";
import { isLetIn, opening, SETTLE_MS_MAX } from "../crash/scene.ts";
import { openRunbook } from "./runbook.ts";

const disconnect = (name: string): string =>
  `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`;

test("ledger and key go back to a backup: nothing is issued before a sweep, orphans are found", async () => {
  await using mayfly = await startInstallation();
  const { name, url } = mayfly.ledgerDatabase;
  const asAdmin = (...statements: readonly string[]) =>
    asSuperuser(sharedServer(), "postgres", async (sql) => {
      for (const statement of statements) await sql.unsafe(statement);
    });
  const startBroker = (): Promise<RunningBroker> =>
    mayfly.startBroker({ MAYFLY_SWEEP_INTERVAL_SECONDS: "1" });
  const granted = (broker: RunningBroker, ref: string) =>
    until(`a credential for ${ref}`, SETTLE_MS_MAX, async () => {
      const reply = await broker.api.exchange(opening(mayfly, ref));
      return reply.status === 200 && grantedOf(reply);
    });
  const first = await startBroker();
  const worker = await mayfly.startWorker();
  await mayfly.register(first);
  const kept = await granted(first, "before");
  await Promise.all([first.stop(), worker.stop()]);
  const backup = join(mayfly.sealingKeyFile, "../backup.json");
  await copyFile(mayfly.sealingKeyFile, backup);
  await asAdmin(disconnect(name), `CREATE DATABASE ${name}_backup TEMPLATE ${name}`);

  const second = await startBroker();
  const later = await mayfly.startWorker();
  const lost = await granted(second, "lost");
  await using runbook = await openRunbook("ledger-restore", mayfly);
  await until("the log to have all of it", SETTLE_MS_MAX, async () => {
    const [row] = await mayfly.ledger`SELECT count(*)::int AS n FROM mayfly.events_pending`;
    return row?.["n"] === 0;
  });
  const exported = await second.api.admin("GET", "/v1/ledger/export");
  await writeFile(join(runbook.folder, "last-export.ndjson"), exported.text);
  await Promise.all([second.kill(), later.kill()]);
  await rm(mayfly.sealingKeyFile);

  await asAdmin(
    `DROP DATABASE ${name} WITH (FORCE)`,
    `ALTER DATABASE ${name}_backup RENAME TO ${name}`,
  );
  await copyFile(backup, mayfly.sealingKeyFile);
  await runbook.set("MAYFLY_DATABASE_URL", url);
  const compared = await runbook.follow("2. Put back database and key");
  expect(compared).toMatch(/\d+ entries were lost/);
  expect(compared).toContain(lost.lease);

  const broker = await startBroker();
  await runbook.set("MAYFLY_URL", broker.api.url);
  await runbook.follow("3. Start one broker");
  const refused = await broker.api.exchange(opening(mayfly, "too soon"));
  expect(codeOf(refused)).toBe("issuing_paused");
  expect([await isLetIn(lost.credential), await isLetIn(kept.credential)]).toEqual([true, true]);

  await mayfly.startWorker();
  await runbook.follow("4. Start a worker");
  await runbook.follow("It is over when");
  expect(await isLetIn(lost.credential)).toBe(false);
  expect(await isLetIn(kept.credential)).toBe(true);
  await granted(broker, "after");
  expect(await runbook.follow("Tell the security team")).toContain(lost.lease);
  runbook.finish();
});
