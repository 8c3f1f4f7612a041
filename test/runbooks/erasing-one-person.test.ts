import { expect, test } from "vitest";
import { dumpDatabase } from "../canary/ledger-dump.ts";
import { accepted, grantedOf, startInstallation, until } from "../harness/index.ts";
import { opening, SETTLE_MS_MAX, theSettled } from "../crash/scene.ts";
import { openRunbook } from "./runbook.ts";

const NAME = "margarethe.mueller@example.test";

test("a person's values leave while the ledger is used, and the log verifies", async () => {
  await using mayfly = await startInstallation();
  await mayfly.startWorker();
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await using runbook = await openRunbook("erasing-one-person", mayfly);
  await runbook.set("MAYFLY_URL", broker.api.url);
  await runbook.set("MAYFLY_DATABASE_URL", mayfly.ledgerDatabase.url);
  await runbook.set("NAME", NAME);
  const use = async (ref: string, more: Record<string, unknown> = {}): Promise<void> => {
    const one = grantedOf(await broker.api.exchange(opening(mayfly, ref, more)));
    const path = `/v1/tasks/${one.taskId}/complete`;
    accepted(await broker.api.call(one.taskToken, "POST", path, {}), path);
    expect((await theSettled(mayfly, ref)).outcome).toBe("revoked");
  };
  for (const ref of ["hers-1", "hers-2"]) {
    await use(ref, { initiator: NAME, goal: `Refund what ${NAME} ordered` });
  }
  await use("of somebody else", { initiator: "robert@example.test" });
  await until("all events to be in the log", SETTLE_MS_MAX, async () => {
    const [row] = await mayfly.ledger`SELECT count(*)::int AS n FROM mayfly.events_pending`;
    return Number(row?.["n"]) === 0;
  });
  expect(await dumpDatabase(mayfly.ledger)).toContain(NAME);
  let isOver = false;
  const used = (async () => {
    for (let n = 0; !isOver; n++) await use(`used-${n}`);
  })();
  const planned = await runbook.follow("1. See what would be erased");
  expect(planned).toMatch(/values of 2 tasks, 2 end requests, 2 decisions, 2 leases, \d+ events/);
  expect(await dumpDatabase(mayfly.ledger)).toContain(NAME);
  const erased = await runbook.follow("2. Erase");
  expect(erased).toMatch(/values of 2 tasks, .* events erased/);
  expect(await dumpDatabase(mayfly.ledger)).not.toContain(NAME);
  await until("the erasure to be in the log", SETTLE_MS_MAX, async () => {
    const [row] = await mayfly.ledger`
      SELECT FROM mayfly_audit.events WHERE kind = 'ledger.erased' AND log_index IS NOT NULL`;
    return row !== undefined;
  });
  expect(await runbook.follow("3. It is over when")).toContain('"reason":"request 2026-117"');
  isOver = true;
  await used;
  runbook.finish();
  const [task] = await mayfly.ledger`
    SELECT count(*)::int AS n FROM mayfly_audit.tasks WHERE claimed_initiator = '[erased]'`;
  expect(task).toEqual({ n: 2 });
  await mayfly.assertNothingLeaks(broker);
});
