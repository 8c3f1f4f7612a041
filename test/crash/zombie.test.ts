import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepted,
  BRIEF_ISSUE,
  grantedOf,
  startInstallation,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";
import {
  isLetIn,
  opening,
  roleNow,
  tasksOf,
  theLease,
  theSettled,
  wasEverMinted,
} from "./scene.ts";

/*
 * A broker that stands still between two steps, while the others take it for dead and clean up
 * behind it, and that then goes on as if nothing had happened.
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

interface Frozen {
  readonly broker: RunningBroker;
  /** Settles once the broker goes on. */
  readonly reply: Promise<Reply>;
}

async function freezeAt(point: string, ref: string): Promise<Frozen> {
  const broker = await mayfly.startBroker({
    ...BRIEF_ISSUE,
    MAYFLY_UNSAFE_FAIL_POINT: `${point}=stop`,
  });
  const reply = broker.api.exchange(opening(mayfly, ref));
  reply.catch(() => undefined);
  await broker.frozen();
  return { broker, reply };
}

describe.concurrent("a broker that freezes and goes on", () => {
  test("before the mint, past settle_by and recover: it mints nothing", async () => {
    const { broker, reply } = await freezeAt("issue.before", "zombie-before");
    const lease = await theSettled(mayfly, "zombie-before");
    expect(lease.isPastSettleBy).toBe(true);
    expect(lease.outcome).toBe("absent");
    broker.thaw();
    const answer = await reply;
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.text).not.toContain("password");
    expect(wasEverMinted(mayfly, lease.role)).toBe(false);
    expect(await roleNow(mayfly, lease.role)).toBeNull();
    await mayfly.assertNothingLeaks(survivor);
    await mayfly.assertNothingLeaks(broker);
  });

  test("after the reservation, past issue_by alone: it mints nothing either", async () => {
    const { broker, reply } = await freezeAt("reserve.after", "zombie-reserved");
    const { settleBy } = await theLease(mayfly, "zombie-reserved");
    await pastIssueBy("zombie-reserved");
    broker.thaw();
    const answer = await reply;
    expect(answer.status).toBeGreaterThanOrEqual(400);
    const lease = await theSettled(mayfly, "zombie-reserved");
    expect(lease.settleBy).toEqual(settleBy);
    expect(["abandoned", "absent"]).toContain(lease.outcome);
    expect(wasEverMinted(mayfly, lease.role)).toBe(false);
    await mayfly.assertNothingLeaks(survivor);
  });

  test("after the mint, past settle_by and recover: its credential is dead", async () => {
    const { broker, reply } = await freezeAt("issue.after", "zombie-minted");
    const left = await theLease(mayfly, "zombie-minted");
    expect(left.state).toBe("reserved");
    expect(await roleNow(mayfly, left.role)).toMatchObject({ canLogin: true });
    const lease = await theSettled(mayfly, "zombie-minted");
    expect(lease.outcome).toBe("revoked");
    expect(await roleNow(mayfly, lease.role)).toBeNull();
    broker.thaw();
    const answer = await reply;
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.text).not.toContain("password");
    expect(await roleNow(mayfly, lease.role)).toBeNull();
    expect(await theLease(mayfly, "zombie-minted")).toEqual({ ...lease, isPastSettleBy: true });
    await mayfly.assertNothingLeaks(survivor);
  });

  test("after activation, past the end of its task: what it hands out is dead", async () => {
    const { broker, reply } = await freezeAt("activate.after", "zombie-active");
    expect(await theLease(mayfly, "zombie-active")).toMatchObject({ state: "active" });
    const [task] = await tasksOf(mayfly, "zombie-active");
    const path = `/v1/tasks/${task?.id ?? ""}/kill`;
    accepted(await survivor.api.admin("POST", path, { wait: 30 }), path);
    expect((await theSettled(mayfly, "zombie-active")).outcome).toBe("revoked");
    broker.thaw();
    const granted = grantedOf(await reply);
    expect(await isLetIn(granted.credential)).toBe(false);
    const beat = await survivor.api.call(
      granted.taskToken,
      "POST",
      `/v1/tasks/${granted.taskId}/heartbeat`,
      {},
    );
    expect(beat.status).toBeGreaterThanOrEqual(400);
    await mayfly.assertNothingLeaks(survivor);
  });
});

async function pastIssueBy(ref: string): Promise<void> {
  await mayfly.ledger`
    SELECT pg_sleep(greatest(0, extract(epoch FROM max(l.issue_by) - clock_timestamp())) + 0.1)
    FROM mayfly.leases l JOIN mayfly.tasks t ON t.id = l.task_id WHERE t.ref = ${ref}`;
}
