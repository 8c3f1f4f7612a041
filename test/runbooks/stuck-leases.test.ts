import { readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { expect, test } from "vitest";
import {
  accepted,
  grantedOf,
  startInstallation,
  startRestartable,
  until,
  type Granted,
} from "../harness/index.ts";
import { isLetIn, opening, SETTLE_MS_MAX, theLease } from "../crash/scene.ts";
import { openRunbook } from "./runbook.ts";

const LEASES = 2;

test("leases of a server that is down: found, explained, shut out by hand, and settled after", async () => {
  await using customer = await startRestartable();
  await using mayfly = await startInstallation({
    customerServer: customer,
    settings: { MAYFLY_ATTEMPTS_UNTIL_STUCK: "2" },
  });
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  const worker = await mayfly.startWorker();
  await using runbook = await openRunbook("stuck-leases", mayfly);
  await runbook.set("MAYFLY_URL", broker.api.url);
  const granted: Granted[] = [];
  for (let n = 0; n < LEASES; n++) {
    granted.push(grantedOf(await broker.api.exchange(opening(mayfly, `stuck-${n}`))));
  }
  await customer.lose("fast");
  for (const { taskId, taskToken } of granted) {
    const path = `/v1/tasks/${taskId}/complete`;
    accepted(await broker.api.call(taskToken, "POST", path, {}), path);
  }
  await until("stuck leases", SETTLE_MS_MAX, async () => {
    const [row] = await mayfly.ledger<{ stuck: number }[]>`
      SELECT count(*)::int AS stuck FROM mayfly.leases WHERE state = 'stuck'`;
    return row?.stuck === LEASES;
  });
  expect(await runbook.follow("1. See which, and why")).toContain("orders-db");
  await runbook.follow("2. If you cannot wait");
  // By hand means before Mayfly does it: it must not come in between.
  await worker.stop();
  await customer.start();
  const statements = await readFile(join(runbook.folder, "shut-out.sql"), "utf8");
  const sql = postgres(customer.url("orders"), { max: 1 });
  await sql.unsafe(statements);
  await sql.end({ timeout: 5 });
  for (const { credential } of granted) expect(await isLetIn(credential)).toBe(false);
  await mayfly.startWorker();
  await runbook.follow("3. It is over when");
  for (let n = 0; n < LEASES; n++) {
    expect((await theLease(mayfly, `stuck-${n}`)).outcome).toBe("revoked");
  }
  expect(await runbook.follow("Tell the security team")).toContain("revoked");
  runbook.finish();
  await mayfly.assertNothingLeaks(broker);
});
