import { afterAll, beforeAll, expect, test } from "vitest";
import type { Issued } from "@mayfly/spec";
import { revoking } from "@mayfly/testkit/contract";
import { accountOf } from "@mayfly/testkit/vitest";
import { readHandle } from "./lease-mark.ts";
import { startPostgresBench, type PostgresBench } from "./testing/start-postgres-bench.ts";

const LEASES = 150;
const serverLog: string[] = [];
let started: PostgresBench;
let customer: PostgresBench["customer"];
let bench: PostgresBench["bench"];

beforeAll(async () => {
  started = await startPostgresBench({
    settings: { log_statement: "all" },
    log: (line) => serverLog.push(line),
  });
  ({ customer, bench } = started);
});
afterAll(() => started.stop());

const nameOf = ({ material }: Issued): string => accountOf(material)[0];
const issueMany = (): Promise<readonly Issued[]> =>
  Promise.all(
    Array.from({ length: LEASES }, () => bench.open.issue(bench.plan(), bench.issueCall())),
  );
const revokeAll = (issued: readonly Issued[]) =>
  Promise.allSettled(issued.map(({ handle }) => revoking(bench.open).revoke(handle, bench.call())));
const probeAll = (issued: readonly Issued[]) =>
  Promise.all(issued.map(({ handle }) => revoking(bench.open).probe(handle, bench.call())));
const sent = (text: string): number => serverLog.filter((line) => line.includes(text)).length;

const GONE = {
  verdict: "refused",
  looked: {
    roles: 0,
    roles_that_log_in: 0,
    sessions: 0,
    name_taken_by_another: 0,
    prepared: 0,
    held: 0,
    endpoints: 1,
    standbys: [],
  },
};

test("many that end at one time end in few messages, each with evidence of its own", async () => {
  const issued = await issueMany();
  const first = issued.slice(0, 3);
  const live = await probeAll(first);
  expect(live).toEqual(
    first.map(() => ({
      verdict: "accepted",
      looked: { ...GONE.looked, roles: 1, roles_that_log_in: 1 },
    })),
  );
  serverLog.length = 0;
  const ends = await revokeAll(issued);
  expect(ends.every(({ status }) => status === "fulfilled")).toBe(true);
  expect(await probeAll(issued)).toEqual(issued.map(() => GONE));
  // Two go at once, the next ones in batches of 64.
  expect(sent("DROP ROLE IF EXISTS")).toBeLessThanOrEqual(5);
  expect(sent("NOLOGIN")).toBe(0);
}, 60_000);

test("those with sessions, tables or prepared transactions end as well, and hold up nobody", async () => {
  const issued = await issueMany();
  const [idle, owner, preparer, locked] = issued.slice(10, 14);
  if (!idle || !owner || !preparer || !locked) throw new Error("too few leases");
  const superuser = customer.sql();
  const session = customer.connect(...accountOf(idle.material));
  await session`SELECT 1`;
  await superuser.unsafe("CREATE TABLE left_over (n integer)");
  await superuser.unsafe(`ALTER TABLE left_over OWNER TO "${nameOf(owner)}"`);
  const preparing = customer.connect(...accountOf(preparer.material));
  await preparing
    .unsafe("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'x'; PREPARE TRANSACTION 'together'")
    .simple();
  await preparing.end({ timeout: 0 });
  const stranger = await superuser.reserve();
  await stranger.unsafe(`BEGIN; ALTER ROLE "${nameOf(locked)}" CONNECTION LIMIT 9`).simple();
  const others = issued.filter((one) => one !== locked);
  const held = revokeAll([locked]);
  const ends = await revokeAll(others);
  expect(ends.filter(({ status }) => status === "rejected")).toEqual([]);
  expect(await probeAll(others)).toEqual(others.map(() => GONE));
  await stranger.unsafe("ROLLBACK").simple();
  stranger.release();
  await held;
  expect((await revokeAll([locked]))[0]?.status).toBe("fulfilled");
  expect(await probeAll([locked])).toEqual([GONE]);
  const [table] = await superuser<{ owner: string }[]>`
    SELECT tableowner AS owner FROM pg_tables WHERE tablename = 'left_over'`;
  expect(table?.owner).toBe("orders_owner");
  await session.end({ timeout: 0 });
}, 60_000);

test("a renamed role ends by its mark, and one that took a name is left alone", async () => {
  const issued = await issueMany();
  const [renamed, replaced] = issued.slice(20, 22);
  if (!renamed || !replaced) throw new Error("too few leases");
  const superuser = customer.sql();
  await superuser.unsafe(`ALTER ROLE "${nameOf(renamed)}" RENAME TO moved_away`);
  await superuser.unsafe(`DROP ROLE "${nameOf(replaced)}"`);
  await superuser.unsafe(`CREATE ROLE "${nameOf(replaced)}" LOGIN`);
  const ends = await revokeAll(issued);
  expect(ends.every(({ status }) => status === "fulfilled")).toBe(true);
  const looked = (await probeAll([replaced]))[0];
  expect(looked).toMatchObject({ verdict: "refused", looked: { name_taken_by_another: 1 } });
  const [left] = await superuser<{ moved: number; taken: number }[]>`
    SELECT (SELECT count(*) FROM pg_roles WHERE oid = ${readHandle(renamed.handle).oid})::int
        AS moved,
      (SELECT count(*) FROM pg_roles WHERE rolname = ${nameOf(replaced)})::int AS taken`;
  expect(left).toEqual({ moved: 0, taken: 1 });
  await superuser.unsafe(`DROP ROLE "${nameOf(replaced)}"`);
}, 60_000);
