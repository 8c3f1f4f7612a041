import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepted,
  BRIEF_ISSUE,
  grantedOf,
  startInstallation,
  textAt,
  until,
  type Environment,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import {
  AGENT,
  dies,
  isLetIn,
  leasesOf,
  opening,
  roleNow,
  SETTLE_MS_MAX,
  settled,
  taskDetails,
  tasksOf,
  theLease,
  theSettled,
  wasEverMinted,
} from "./scene.ts";

/*
 * One ledger with a broker and a worker that live on, and beside them a broker for each row of
 * docs/issue-cycle.md that is killed there. What the dead one left behind is theirs to clean up.
 */
let mayfly: Installation;
let survivor: RunningBroker;

beforeAll(async () => {
  mayfly = await startInstallation();
  survivor = await mayfly.startBroker();
  await mayfly.register(survivor);
  await mayfly.startWorker();
});
afterAll(async () => {
  await mayfly?.[Symbol.asyncDispose]();
});

const doomed = (point: string, own: Environment = {}): Promise<RunningBroker> =>
  mayfly.startBroker({ ...own, MAYFLY_UNSAFE_FAIL_POINT: `${point}=kill` });

/** Opens a task through a broker that is killed at the point. */
async function crashAt(
  point: string,
  ref: string,
  more: Record<string, unknown> = {},
  own: Environment = {},
): Promise<void> {
  const broker = await doomed(point, own);
  await dies(broker, broker.api.exchange(opening(mayfly, ref, more)));
}

describe.concurrent("a broker killed while it issues", () => {
  test("row 5: killed at reserve.before, nothing was promised and nothing is there", async () => {
    await crashAt("reserve.before", "row-5");
    expect(await tasksOf(mayfly, "row-5")).toEqual([]);
    expect(await leasesOf(mayfly, "row-5")).toEqual([]);
    await mayfly.assertNothingLeaks(survivor);
  });

  test("row 6: killed at reserve.after, recover looks and ends it absent", async () => {
    await crashAt("reserve.after", "row-6", {}, BRIEF_ISSUE);
    const left = await theLease(mayfly, "row-6");
    expect(left.state).toBe("reserved");
    const lease = await theSettled(mayfly, "row-6");
    expect(lease.outcome).toBe("absent");
    expect(lease.isPastSettleBy).toBe(true);
    expect(wasEverMinted(mayfly, lease.role)).toBe(false);
    await mayfly.assertNothingLeaks(survivor);
  });

  test("row 7: killed at issue.before, recover looks and ends it absent", async () => {
    await crashAt("issue.before", "row-7-before", {}, BRIEF_ISSUE);
    const lease = await theSettled(mayfly, "row-7-before");
    expect(lease.outcome).toBe("absent");
    expect(wasEverMinted(mayfly, lease.role)).toBe(false);
    await mayfly.assertNothingLeaks(survivor);
  });

  test("row 7: killed at issue.after, recover destroys what nobody holds", async () => {
    await crashAt("issue.after", "row-7-after", {}, BRIEF_ISSUE);
    const left = await theLease(mayfly, "row-7-after");
    expect(left.state).toBe("reserved");
    expect(await roleNow(mayfly, left.role)).toMatchObject({ canLogin: true });
    const lease = await theSettled(mayfly, "row-7-after");
    expect(lease.outcome).toBe("revoked");
    expect(await roleNow(mayfly, lease.role)).toBeNull();
    await mayfly.assertNothingLeaks(survivor);
  });

  test("row 8: killed at activate.after, the idle task ends and its lease with it", async () => {
    await crashAt("activate.after", "row-8-idle", { idle_timeout: "2s" });
    const left = await theLease(mayfly, "row-8-idle");
    expect(["active", "ending", "ended"]).toContain(left.state);
    expect(wasEverMinted(mayfly, left.role)).toBe(true);
    const lease = await theSettled(mayfly, "row-8-idle");
    expect(lease.outcome).toBe("revoked");
    expect((await tasksOf(mayfly, "row-8-idle")).map(({ state }) => state)).toEqual(["expired"]);
    expect(await roleNow(mayfly, lease.role)).toBeNull();
    await mayfly.assertNothingLeaks(survivor);
  });

  test("row 8: killed at activate.after, the lease ends when its key is used again", async () => {
    const broker = await doomed("activate.after");
    const exchange = { ...opening(mayfly, "row-8-key"), idempotencyKey: "row-8-key" };
    await dies(broker, broker.api.exchange(exchange));
    const [lost] = await leasesOf(mayfly, "row-8-key");
    expect(lost?.state).toBe("active");
    const granted = grantedOf(await survivor.api.exchange(exchange));
    expect(granted.lease).not.toBe(lost?.id);
    await until("the lost generation to end", SETTLE_MS_MAX, async () => {
      const [first, second] = await leasesOf(mayfly, "row-8-key");
      return first?.outcome === "revoked" && second?.state === "active";
    });
    expect(await tasksOf(mayfly, "row-8-key")).toHaveLength(1);
    expect(await isLetIn(granted.credential)).toBe(true);
    await mayfly.assertNothingLeaks(survivor);
    accepted(await complete(granted.taskId, granted.taskToken), "complete");
    await settled(mayfly, "row-8-key");
  });

  test("row 9: killed at schedule.after, the sweep ends it at its expiry", async () => {
    await crashAt("schedule.after", "row-9", {
      credentials: [{ role: "orders-db/reader", ttl: "6s" }],
    });
    const left = await theLease(mayfly, "row-9");
    const lease = await theSettled(mayfly, "row-9");
    expect(wasEverMinted(mayfly, left.role)).toBe(true);
    expect(lease.outcome).toBe("revoked");
    expect((await tasksOf(mayfly, "row-9")).map(({ state }) => state)).toEqual(["active"]);
    await mayfly.assertNothingLeaks(survivor);
  });

  test("row 10: a reply that was lost is not repeated, its key draws another secret", async () => {
    const exchange = { ...opening(mayfly, "row-10"), idempotencyKey: "row-10" };
    const lost = grantedOf(await survivor.api.exchange(exchange));
    const repeated = grantedOf(await survivor.api.exchange(exchange));
    expect(repeated.taskId).toBe(lost.taskId);
    expect(repeated.lease).not.toBe(lost.lease);
    expect(repeated.credential.password).not.toBe(lost.credential.password);
    await until("the lost credential to be refused", SETTLE_MS_MAX, async () => {
      return !(await isLetIn(lost.credential));
    });
    expect(await isLetIn(repeated.credential)).toBe(true);
    accepted(await complete(repeated.taskId, repeated.taskToken), "complete");
    await settled(mayfly, "row-10");
    await mayfly.assertNothingLeaks(survivor);
  });
});

describe.concurrent("a broker killed while it renews", () => {
  test("row 11: killed at renew.recorded, the later expiry counts and does no harm", async () => {
    const { lease, role, firstExpiry } = await renewAndDie("renew.recorded", "row-11");
    expect(lease.expiresAt.getTime()).toBeGreaterThan(firstExpiry.getTime());
    expect((await roleNow(mayfly, role))?.validUntil?.getTime()).toBeLessThanOrEqual(
      firstExpiry.getTime(),
    );
    expect((await theSettled(mayfly, "row-11")).outcome).toBe("revoked");
    await mayfly.assertNothingLeaks(survivor);
  });

  test("row 12: killed at renew.after, both agree on the later expiry", async () => {
    const { lease, role, firstExpiry } = await renewAndDie("renew.after", "row-12");
    expect(lease.expiresAt.getTime()).toBeGreaterThan(firstExpiry.getTime());
    expect((await roleNow(mayfly, role))?.validUntil?.getTime()).toBeGreaterThan(
      firstExpiry.getTime(),
    );
    expect((await theSettled(mayfly, "row-12")).outcome).toBe("revoked");
    await mayfly.assertNothingLeaks(survivor);
  });
});

async function renewAndDie(point: string, ref: string) {
  const broker = await doomed(point);
  const role = "orders-db/reader";
  // A declared ttl would bound the renewal: the short one is only of what is drawn.
  const opened = await survivor.api.exchange({
    subject: mayfly.svid(AGENT),
    details: taskDetails(ref, { credentials: [{ role, issue: "later" }] }),
  });
  const task = textAt(opened, "task", "id");
  const granted = grantedOf(
    await survivor.api.exchange({
      subject: mayfly.svid(AGENT),
      details: { type: "mayfly-task", task, credentials: [{ role, ttl: "12s" }] },
    }),
  );
  const { expiresAt: firstExpiry } = await theLease(mayfly, ref);
  const path = `/v1/leases/${granted.lease}/renew`;
  await dies(broker, broker.api.call(granted.taskToken, "POST", path, { ttl: "18s" }));
  const lease = await theLease(mayfly, ref);
  expect(lease.state).toBe("active");
  return { lease, role: lease.role, firstExpiry };
}

const complete = (taskId: string, token: string) =>
  survivor.api.call(token, "POST", `/v1/tasks/${taskId}/complete`, { wait: 30 });
