import type { FailPoint } from "@mayfly/spec";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepted,
  grantedOf,
  READER,
  startInstallation,
  textAt,
  until,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { dies, isLetIn, opening, SETTLE_MS_MAX, settled, tasksOf } from "./scene.ts";

let mayfly: Installation;
let one: RunningBroker;
let other: RunningBroker;
let workload: string;

beforeAll(async () => {
  mayfly = await startInstallation();
  one = await mayfly.startBroker();
  await mayfly.register(one);
  other = await mayfly.startBroker();
  await mayfly.startWorker();
  grantedOf(await one.api.exchange(opening(mayfly, "first")));
  const [row] = await mayfly.ledger<{ name: string }[]>`
    SELECT workload_name AS name FROM mayfly.tasks WHERE ref = 'first'`;
  workload = row?.name ?? "";
});
afterAll(async () => {
  await mayfly?.[Symbol.asyncDispose]();
});

const kill = (broker: RunningBroker, more: Record<string, unknown> = {}) =>
  broker.api.admin("POST", "/v1/tasks/kill", { selector: { workload }, ...more });

const liveOf = async (): Promise<number> => {
  const [row] = await mayfly.ledger<{ live: number }[]>`
    SELECT count(*)::integer AS live FROM mayfly.leases
    WHERE workload = ${workload} AND state <> 'ended'`;
  return row?.live ?? -1;
};

const NOTHING = { tasks: ["killed", "killed"], letIn: [false, false] };

/** The broker that was asked is killed there, and nobody asks again. */
async function whatIsLeft(point: FailPoint) {
  const ref = `killed-${point}`;
  const first = grantedOf(await one.api.exchange(opening(mayfly, ref)));
  const second = grantedOf(await one.api.exchange(opening(mayfly, ref)));
  const broker = await mayfly.startBroker({ MAYFLY_UNSAFE_FAIL_POINT: `${point}=kill` });
  await dies(broker, kill(broker, { wait: "10s" }));
  await settled(mayfly, ref);
  const tasks = (await tasksOf(mayfly, ref)).map(({ state }) => state);
  const letIn = [await isLetIn(first.credential), await isLetIn(second.credential)];
  await until("the end to be finished", SETTLE_MS_MAX, async () => {
    const [end] = await mayfly.ledger<{ result: string | null }[]>`
      SELECT result FROM mayfly.selector_ends ORDER BY id DESC LIMIT 1`;
    return end?.result === "none_left";
  });
  return { tasks, letIn };
}

describe("an end by selector", () => {
  test("row 18: killed at selector_end.requested, the sweep goes on with it", async () => {
    expect(await whatIsLeft("selector_end.requested")).toEqual(NOTHING);
  });

  test("row 19: killed at selector_end.marked, the sweep goes on with it", async () => {
    expect(await whatIsLeft("selector_end.marked")).toEqual(NOTHING);
  });

  test("two kills at once, against a crowd that keeps opening, leave nothing that they answered for", async () => {
    let isOver = false;
    const exchanges: Promise<void>[] = [];
    const outcomes: number[] = [];
    const crowd = Array.from({ length: 4 }, async (_, n) => {
      while (!isOver) {
        const broker = n % 2 === 0 ? one : other;
        const reply = await broker.api.exchange(opening(mayfly, `crowd-${n}`));
        outcomes.push(reply.status);
      }
    });
    exchanges.push(...crowd);
    await until("the crowd to be there", SETTLE_MS_MAX, async () => (await liveOf()) > 4);
    const reports = await Promise.all([kill(one, { look: "1s" }), kill(other, { look: "1s" })]);
    isOver = true;
    await Promise.all(exchanges);
    expect(outcomes.filter((status) => status >= 500 && status !== 503)).toEqual([]);
    for (const reply of reports) {
      accepted(reply, "a kill by selector");
      expect(reply.body).toMatchObject({ appeared: expect.any(Number) as unknown });
      // What each found is on record, and every task that it came to has ended, or its end is
      // requested and the sweep applies it. A crowd that never stops keeps it looking: what it has
      // not come to, it says is pending.
      const id = textAt(reply, "end", "id").slice("end_".length);
      const alive = await mayfly.ledger`
        SELECT l.state FROM mayfly.selector_end_members AS m
        JOIN mayfly.leases AS l ON l.id = m.member_id
        JOIN mayfly.selector_end_members AS t
          ON t.end_id = m.end_id AND t.kind = 'task' AND t.member_id = l.task_id
        WHERE m.end_id = ${id}::text::uuid AND m.kind = 'lease' AND NOT m.pending
          AND NOT t.pending AND l.state = 'active' AND NOT EXISTS (
            SELECT FROM mayfly.task_end_requests AS r WHERE r.task_id = l.task_id)`;
      expect(alive).toEqual([]);
    }
    // Whoever opens no more is through with one more kill.
    const last = await kill(one, { wait: "30s" });
    expect(last.body).toMatchObject({ pending: 0, end: { result: "none_left" } });
    await until("nothing to be live", SETTLE_MS_MAX, async () => (await liveOf()) === 0);
    const active = await mayfly.ledger`
      SELECT id FROM mayfly.tasks WHERE workload_name = ${workload} AND state = 'active'`;
    expect(active).toEqual([]);
  });

  test("a trace finds the lease of a leaked URL, and the string is nowhere in the ledger", async () => {
    const granted = grantedOf(await one.api.exchange(opening(mayfly, "leaked")));
    const { password } = granted.credential;
    const text = `2026-11-20 ERROR postgresql://x:${password}@db:5432/orders refused`;
    const found = await one.api.admin("POST", "/v1/trace", { text });
    expect(found.body).toMatchObject({
      leases: [{ via: "fingerprint", holder: { lease: { id: granted.lease, role: READER } } }],
      todo: [`mayfly lease end ${granted.lease}`, `mayfly task kill ${granted.taskId}`],
    });
    const canary = `canary-${password}-canary`;
    await one.api.admin("POST", "/v1/trace", { text: `${canary} ${canary}x` });
    const tables = await mayfly.ledger<{ name: string }[]>`
      SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
      WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`;
    for (const { name } of tables) {
      const seen = await mayfly.ledger.unsafe(
        `SELECT 1 FROM ${name} AS t WHERE strpos(t::text, $1) > 0 LIMIT 1`,
        [password],
      );
      expect([name, seen.length]).toEqual([name, 0]);
    }
    expect(one.output()).not.toContain(password);
    expect(one.output()).not.toContain("canary-");
  });

  test("nothing leaks of all that, and the log is unbroken", async () => {
    accepted(await kill(one, { wait: "30s" }), "the last kill");
    await until("nothing to be live", SETTLE_MS_MAX, async () => (await liveOf()) === 0);
    await expect(mayfly.assertNothingLeaks(one)).resolves.toBeUndefined();
  });
});
