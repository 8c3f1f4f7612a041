import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemRandom } from "@mayfly/host";
import { migrate } from "@mayfly/postgres";
import { accepted, grantedOf, startInstallation, type RunningBroker } from "../harness/index.ts";
import { isLetIn, opening, theSettled } from "../crash/scene.ts";
import { ROOT } from "../tidy/repository.ts";
import { openRunbook } from "./runbook.ts";

/** The migrations of a version after this one. */
async function nextMigrations(breaking: "yes" | "no", after = 0): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-next-"));
  await cp(join(ROOT, "migrations"), folder, { recursive: true });
  const count = (await readdir(folder)).filter((name) => /^\d{4}_/.test(name)).length;
  for (let n = 1; n <= after + 1; n++) {
    const name = `${String(count + n).padStart(4, "0")}_next_${n}.sql`;
    const text = `-- breaking: ${n > after ? breaking : "no"}\nCREATE TABLE mayfly.next_${n} (n integer);`;
    await writeFile(join(folder, name), text);
  }
  return folder;
}

test("migrated while it runs, restarted one by one, and gone back: no end is missed", async () => {
  await using mayfly = await startInstallation();
  const { url } = mayfly.ledgerDatabase;
  let broker = await mayfly.startBroker();
  await mayfly.register(broker);
  let worker = await mayfly.startWorker();
  await using runbook = await openRunbook("upgrade", mayfly);
  await runbook.set("MAYFLY_DATABASE_URL", url);
  const lives = async (ref: string, across: () => Promise<unknown>): Promise<void> => {
    const one = grantedOf(await broker.api.exchange(opening(mayfly, ref)));
    await across();
    accepted(await broker.api.admin("POST", `/v1/tasks/${one.taskId}/complete`, {}), ref);
    expect((await theSettled(mayfly, ref)).outcome).toBe("revoked");
    expect(await isLetIn(one.credential)).toBe(false);
  };
  const restart = async (): Promise<RunningBroker> => {
    const [oldBroker, oldWorker] = [broker, worker];
    worker = await mayfly.startWorker();
    await oldWorker.stop();
    const next = await mayfly.startBroker();
    await runbook.set("MAYFLY_URL", next.api.url);
    await runbook.follow("3. Restart, one by one");
    await oldBroker.stop();
    return next;
  };
  await runbook.follow("1. Before");
  const next = await nextMigrations("no");
  await lives("while migrating", async () => {
    await migrate({ url, random: systemRandom, directory: next });
    // The page's own command, of a version that is older than the schema by now: nothing to do.
    expect(await runbook.follow("2. Migrate, with the new version")).toContain("was up to date");
  });
  await lives("while restarting", async () => {
    broker = await restart();
  });
  await lives("while going back", async () => {
    broker = await restart();
  });
  expect(await runbook.follow("4. Salt the log's hashes")).toContain("salted already");
  await runbook.follow("It is over when");
  runbook.finish();
  await mayfly.assertNothingLeaks(broker);

  const breaking = await nextMigrations("yes", 1);
  await migrate({ url, random: systemRandom, directory: breaking });
  await expect(mayfly.startBroker()).rejects.toThrow("cannot work with");
  await Promise.all([next, breaking].map((path) => rm(path, { recursive: true })));
});
