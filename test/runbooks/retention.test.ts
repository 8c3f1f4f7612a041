import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { accepted, grantedOf, startInstallation, until } from "../harness/index.ts";
import { opening, SETTLE_MS_MAX, theSettled } from "../crash/scene.ts";
import { openRunbook } from "./runbook.ts";

const OLD_EVENTS = 700;
const MONTHS_AGO = 15;

/** A month of long ago, as it would be had the ledger been there. */
const OLD_MONTH = `
DO $$
DECLARE
  starts timestamp := date_trunc('month', now() AT TIME ZONE 'UTC')
    - make_interval(months => ${MONTHS_AGO});
  parent text;
BEGIN
  FOREACH parent IN ARRAY ARRAY['tasks', 'task_end_requests', 'decisions', 'leases', 'events'] LOOP
    EXECUTE format('CREATE TABLE mayfly.%I PARTITION OF mayfly.%I FOR VALUES FROM (%L) TO (%L)',
      format('%s_%s', parent, to_char(starts, 'YYYY_MM')), parent,
      mayfly.uuid7_floor(starts AT TIME ZONE 'UTC'),
      mayfly.uuid7_floor((starts + interval '1 month') AT TIME ZONE 'UTC'));
    EXECUTE format('ALTER TABLE mayfly.%I OWNER TO mayfly_migrator',
      format('%s_%s', parent, to_char(starts, 'YYYY_MM')));
  END LOOP;
  INSERT INTO mayfly.events (id, kind, at, actor, data)
  SELECT (left(mayfly.uuid7_floor(starts AT TIME ZONE 'UTC')::text, 14) || '7000-8000-'
      || lpad(to_hex(n), 12, '0'))::uuid,
    'policies.activated', starts AT TIME ZONE 'UTC', '{"kind": "system", "name": "old"}', '{}'
  FROM generate_series(1, ${OLD_EVENTS}) AS n;
END $$`;

test("a month of long ago leaves while the ledger is used, and both halves verify", async () => {
  await using mayfly = await startInstallation();
  // Before any process, so that the old events are the first ones of the log.
  await mayfly.ledger.unsafe(OLD_MONTH);
  const worker = await mayfly.startWorker();
  await until("the old events to be in the log", SETTLE_MS_MAX, async () => {
    const [row] = await mayfly.ledger`SELECT entries::int AS n FROM mayfly.log_head`;
    return Number(row?.["n"]) >= OLD_EVENTS;
  });
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await using runbook = await openRunbook("retention", mayfly);
  await runbook.set("MAYFLY_URL", broker.api.url);
  await runbook.set("MAYFLY_DATABASE_URL", mayfly.ledgerDatabase.url);
  let isOver = false;
  const used = (async () => {
    for (let n = 0; !isOver; n++) {
      const one = grantedOf(await broker.api.exchange(opening(mayfly, `used-${n}`)));
      const path = `/v1/tasks/${one.taskId}/complete`;
      accepted(await broker.api.call(one.taskToken, "POST", path, {}), path);
      expect((await theSettled(mayfly, `used-${n}`)).outcome).toBe("revoked");
    }
  })();
  expect(await runbook.follow("1. See what would leave")).toContain("1 months leave");
  await runbook.follow("2. Export, cut, detach");
  await until("the cut to be in the log", SETTLE_MS_MAX, async () => {
    const [row] = await mayfly.ledger`
      SELECT FROM mayfly_audit.events WHERE kind = 'ledger.cut' AND log_index IS NOT NULL`;
    return row !== undefined;
  });
  const seen = await runbook.follow("3. It is over when");
  expect(seen).toContain(`from ${OLD_EVENTS} on verified`);
  expect(seen).toContain(`${OLD_EVENTS} entries verified: 0 to ${OLD_EVENTS - 1}`);
  const range = `${"0".repeat(12)}-${String(OLD_EVENTS).padStart(12, "0")}`;
  expect(await readdir(join(runbook.folder, "archive"))).toEqual([
    `ledger-${range}.ndjson`,
    `rows-${range}.ndjson`,
  ]);
  const digests = [...seen.matchAll(/[0-9a-f]{64}(?= {2}archive)/g)].map(([digest]) => digest);
  expect(digests).toHaveLength(2);
  for (const digest of digests) expect(seen.split(digest).length).toBe(3);
  await runbook.follow("4. Drop, days later");
  isOver = true;
  await used;
  runbook.finish();
  expect(worker.hasEnded()).toBe(false);
  await mayfly.assertNothingLeaks(broker);
});
