import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  accepted,
  grantedOf,
  leaseRoleOf,
  READER,
  startInstallation,
  until,
  type Granted,
  type Installation,
  type RunningBroker,
} from "./index.ts";

/*
 * What the crash tests assert is worth as much as this: each kind of leak is planted, by the
 * superuser behind Mayfly's back, and has to be found.
 */
let mayfly: Installation;
let broker: RunningBroker;

beforeAll(async () => {
  mayfly = await startInstallation({ settings: { MAYFLY_LISTING_INTERVAL_SECONDS: "600" } });
  broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await mayfly.startWorker();
});
afterAll(async () => {
  await mayfly?.[Symbol.asyncDispose]();
});

const strangeRole = (): string => `mf_${mayfly.id}_${randomBytes(16).toString("hex")}`;

const open = async (): Promise<Granted> =>
  grantedOf(
    await broker.api.exchange({
      subject: mayfly.svid("bee"),
      details: {
        type: "mayfly-task",
        goal: "leak",
        deadline: "5m",
        credentials: [{ role: READER }],
      },
    }),
  );
const complete = async ({ taskId, taskToken }: Granted): Promise<void> => {
  const path = `/v1/tasks/${taskId}/complete`;
  accepted(await broker.api.call(taskToken, "POST", path, { wait: 30 }), path);
};

test("a live credential of a live lease is no leak", async () => {
  const granted = await open();
  expect(await mayfly.findLeaks(broker)).toEqual([]);
  await complete(granted);
  expect(await mayfly.findLeaks(broker)).toEqual([]);
});

test("a role without a lease is found", async () => {
  const role = strangeRole();
  await mayfly.customer.unsafe(`CREATE ROLE ${role} LOGIN`);
  expect(await mayfly.lookForLeaks(broker)).toEqual([
    { kind: "orphan", words: expect.stringContaining("has no lease") as unknown },
  ]);
  await mayfly.customer.unsafe(`DROP ROLE ${role}`);
});

test("a role that outlives its lease, and a second mint of one lease, are found", async () => {
  const granted = await open();
  const role = leaseRoleOf(mayfly.id, granted.lease);
  await until("the watch to see the role", 90_000, async () => mayfly.watch.seen.has(role));
  await complete(granted);
  await mayfly.customer.unsafe(`CREATE ROLE ${role} LOGIN`);
  await until("the watch to see it again", 90_000, async () => {
    return mayfly.watch.seen.get(role)?.size === 2;
  });
  expect(await mayfly.lookForLeaks(broker)).toEqual([
    { kind: "orphan", words: expect.stringContaining("outlives its lease") as unknown },
    { kind: "double_mint", words: expect.stringContaining("was minted 2 times") as unknown },
  ]);
  await mayfly.customer.unsafe(`DROP ROLE ${role}`);
});

test("a role that is alive too long after its end is found", async () => {
  const granted = await open();
  const [hex] = granted.lease.split("_").slice(1);
  const move = (seconds: number) => mayfly.ledger`
    UPDATE mayfly.leases SET
      settle_by = settle_by - make_interval(secs => ${seconds}),
      expires_at = expires_at - make_interval(secs => ${seconds})
    WHERE replace(id::text, '-', '') = ${hex ?? ""}`;
  // Its due time stays, so no pass looks at it.
  await move(1_800);
  expect(await mayfly.strayRoles()).toEqual([
    { kind: "live_expired", words: expect.stringContaining("is overdue") as unknown },
  ]);
  await move(-1_800);
  await complete(granted);
});

test("a session of a dropped role is found", async () => {
  const role = strangeRole();
  const password = randomBytes(12).toString("hex");
  const { customer } = mayfly;
  await customer.unsafe(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
  const url = new URL(`postgres://${mayfly.orders.host}:${mayfly.orders.port}/orders`);
  const session = postgres({
    host: url.hostname,
    port: Number(url.port),
    database: "orders",
    username: role,
    password,
    max: 1,
  });
  await session`SELECT 1`;
  await customer.unsafe(`DROP ROLE ${role}`);
  const leaks = await mayfly.findLeaks(broker);
  await session.end({ timeout: 1 });
  expect(leaks.some((leak) => leak.includes("is of the dropped role"))).toBe(true);
});

test("an event without a place in the log is found", async () => {
  // What queues an event for the log, and what forbids to take one away, are triggers.
  const unseen = (change: (tx: postgres.TransactionSql) => Promise<unknown>) =>
    mayfly.ledger.begin(async (tx) => {
      await tx`SET LOCAL session_replication_role = replica`;
      await change(tx);
    });
  await unseen(
    (tx) => tx`
      INSERT INTO mayfly.events (kind, actor, data)
      VALUES ('backend.enabled', '{"kind": "system", "name": "test"}', '{"planted": true}')`,
  );
  expect(await mayfly.lookForLeaks(broker)).toContainEqual({
    kind: "log",
    words: expect.stringContaining("neither in the log nor waiting") as unknown,
  });
  await unseen((tx) => tx`DELETE FROM mayfly.events WHERE data ? 'planted'`);
});

test("an event that was altered is found", async () => {
  expect(await mayfly.findLeaks(broker)).not.toContainEqual(expect.stringContaining("verify"));
  await mayfly.ledger`
    UPDATE mayfly.events SET data = data || '{"altered": true}'
    WHERE id = (SELECT min(event_id::text)::uuid FROM mayfly.log_entries)`;
  const leaks = await mayfly.findLeaks(broker);
  expect(leaks.some((leak) => leak.includes("does not verify"))).toBe(true);
});
