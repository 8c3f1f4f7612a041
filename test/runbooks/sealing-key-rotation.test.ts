import { copyFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  accepted,
  grantedOf,
  startInstallation,
  type Granted,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { isLetIn, opening, theSettled } from "../crash/scene.ts";
import { openRunbook, type Runbook } from "./runbook.ts";

/** The file to all, and one process after the other anew: at each moment one of each runs. */
async function restartAll(mayfly: Installation, runbook: Runbook): Promise<RunningBroker> {
  await copyFile(join(runbook.folder, "sealing-keys.json"), mayfly.sealingKeyFile);
  const old = mayfly.processes.filter((process) => !process.hasEnded());
  const broker = await mayfly.startBroker();
  await mayfly.startWorker();
  for (const process of old) await process.stop();
  await runbook.set("MAYFLY_URL", broker.api.url);
  return broker;
}

test("the sealing key is rotated while leases live: every handle opens at each step", async () => {
  await using mayfly = await startInstallation();
  let broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await mayfly.startWorker();
  await using runbook = await openRunbook("sealing-key-rotation", mayfly);
  await copyFile(mayfly.sealingKeyFile, join(runbook.folder, "sealing-keys.json"));
  const granted: Granted[] = [];
  const issue = async (ref: string): Promise<void> => {
    granted.push(grantedOf(await broker.api.exchange(opening(mayfly, ref))));
  };
  const end = async (at: number, ref: string): Promise<void> => {
    const one = granted[at];
    if (one === undefined) throw new Error("there is no such lease");
    const path = `/v1/tasks/${one.taskId}/complete`;
    accepted(await broker.api.admin("POST", path, { wait: "30s" }), path);
    expect((await theSettled(mayfly, ref)).outcome).toBe("revoked");
    expect(await isLetIn(one.credential)).toBe(false);
  };

  for (const ref of ["a", "b", "c", "d"]) await issue(ref);
  await runbook.follow("1. Add the new key as the last one");
  broker = await restartAll(mayfly, runbook);
  await end(0, "a");
  await runbook.follow("2. Make it the first one");
  broker = await restartAll(mayfly, runbook);
  await issue("e");
  await end(1, "b");
  expect(await runbook.follow("3. Re-seal what is stored")).toMatch(/nothing is sealed under /);
  await runbook.follow("It is over when");
  await end(2, "c");
  await runbook.follow("4. Take the old key away");
  broker = await restartAll(mayfly, runbook);
  await end(3, "d");
  await end(4, "e");
  await issue("f");
  await end(5, "f");
  await runbook.follow("5. Check once more");
  runbook.finish();
  await mayfly.assertNothingLeaks(broker);
});

test("a key that is taken away too early is named, and nothing that it sealed is lost", async () => {
  await using mayfly = await startInstallation();
  const first = await mayfly.startBroker();
  await mayfly.register(first);
  await mayfly.startWorker();
  grantedOf(await first.api.exchange(opening(mayfly, "early")));
  const ring = join(mayfly.sealingKeyFile, "../other.json");
  await writeFile(ring, otherRing(), { mode: 0o600 });
  const early = await mayfly.startBroker({ MAYFLY_SEALING_KEY_FILE: ring });
  const resealed = await early.api.admin("POST", "/v1/sealing/reseal", {});
  accepted(resealed, "reseal");
  expect(resealed.body).toMatchObject({ resealed: 0, next: null });
  const { unopened } = resealed.body as { readonly unopened: readonly string[] };
  expect(unopened.some((place) => place.startsWith("lease:"))).toBe(true);
  expect(unopened).toContain("backend:orders-db:1");
});

const keyOf = (fill: number): string => Buffer.alloc(32, fill).toString("base64");
const otherRing = (): string =>
  JSON.stringify({
    version: 1,
    sealing: [{ id: "stranger", key: keyOf(7) }],
    root: [{ id: "root-x", key: keyOf(8) }],
  });
