import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepted,
  backendConfig,
  BACKEND,
  BRIEF_ISSUE,
  grantedOf,
  listAt,
  READER,
  startInstallation,
  textAt,
  type Granted,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";
import { isLetIn, leasesOf, opening, settled, taskDetails, theSettled } from "./scene.ts";

/*
 * Two things at once on one task or lease, and not by luck: one process stands still between two of
 * its steps (SIGSTOP at a fail point) while another does the other thing to its end, and then goes
 * on.
 */
let mayfly: Installation;
let other: RunningBroker;

beforeAll(async () => {
  mayfly = await startInstallation();
  other = await mayfly.startBroker();
  await mayfly.register(other);
  await mayfly.startWorker();
});
afterAll(async () => {
  await mayfly?.[Symbol.asyncDispose]();
});

interface Held {
  readonly broker: RunningBroker;
  /** Settles once the broker goes on. */
  readonly reply: Promise<Reply>;
}

/** What `call` does stands still at the point. */
async function heldAt(
  point: string,
  call: (broker: RunningBroker) => Promise<Reply>,
): Promise<Held> {
  const broker = await mayfly.startBroker({
    ...BRIEF_ISSUE,
    MAYFLY_UNSAFE_FAIL_POINT: `${point}=stop`,
  });
  const reply = call(broker);
  reply.catch(() => undefined);
  await broker.frozen();
  return { broker, reply };
}

const LATER = [{ role: READER }, { role: READER, issue: "later" }];
const opened = async (ref: string, more: Record<string, unknown> = {}): Promise<Granted> =>
  grantedOf(await other.api.exchange(opening(mayfly, ref, more)));

const draw = ({ taskId, taskToken }: Granted) => ({
  subject: taskToken,
  isTaskToken: true,
  details: { type: "mayfly-task", task: taskId, credentials: [{ role: READER }] },
});
const childOf = ({ taskId, taskToken }: Granted, ref: string) => ({
  subject: taskToken,
  isTaskToken: true,
  details: taskDetails(ref, { parent: taskId, deadline: "5m", credentials: LATER }),
});

const complete = (broker: RunningBroker, { taskId, taskToken }: Granted): Promise<Reply> =>
  broker.api.call(taskToken, "POST", `/v1/tasks/${taskId}/complete`, { wait: 30 });
const kill = (broker: RunningBroker, { taskId }: Granted): Promise<Reply> =>
  broker.api.admin("POST", `/v1/tasks/${taskId}/kill`, { wait: 30 });

/** How often the ledger says that the task, and its lease, ended. */
async function endsOf(ref: string) {
  const [row] = await mayfly.ledger<{ tasks: number; leases: number }[]>`
    SELECT count(*) FILTER (WHERE e.kind = 'task.ended')::int AS tasks,
      count(*) FILTER (WHERE e.kind = 'lease.ended')::int AS leases
    FROM mayfly.events e JOIN mayfly.tasks t ON t.id = e.task_id WHERE t.ref = ${ref}`;
  return row;
}

/** No secret that works came out of it. */
async function isWorthNothing(reply: Reply): Promise<boolean> {
  if (reply.status >= 400) return !reply.text.includes('"password"');
  return !(await isLetIn(grantedOf(reply).credential));
}

describe.concurrent("two brokers on one task", () => {
  test.each(["reserve.after", "issue.after", "activate.after"])(
    "complete against an exchange that is held at %s: nothing that works comes of it",
    async (point) => {
      const ref = `complete-${point}`;
      const granted = await opened(ref, { credentials: LATER });
      const { broker, reply } = await heldAt(point, (one) => one.api.exchange(draw(granted)));
      accepted(await complete(other, granted), "the completion");
      broker.thaw();
      expect(await isWorthNothing(await reply)).toBe(true);
      expect(await isLetIn(granted.credential)).toBe(false);
      await settled(mayfly, ref);
      await mayfly.assertNothingLeaks(other);
    },
  );

  test.each(["renew.recorded", "renew.after"])(
    "an end while a renewal is held at %s stands: the lease is revoked and stays so",
    async (point) => {
      const ref = `renew-${point}`;
      // A declared ttl would bound the renewal: the short one is only of what is drawn.
      const declared = { credentials: [{ role: READER, issue: "later" }] };
      const task = await other.api.exchange(opening(mayfly, ref, declared));
      const taskToken = textAt(task, "access_token");
      const credentials = [{ role: READER, ttl: "3m" }];
      const details = { type: "mayfly-task", task: textAt(task, "task", "id"), credentials };
      const granted = grantedOf(
        await other.api.exchange({ subject: taskToken, isTaskToken: true, details }),
      );
      const { broker, reply } = await heldAt(point, (one) =>
        one.api.call(taskToken, "POST", `/v1/leases/${granted.lease}/renew`, { ttl: "6m" }),
      );
      accepted(await complete(other, granted), "the completion");
      broker.thaw();
      await reply;
      expect((await theSettled(mayfly, ref)).outcome).toBe("revoked");
      expect(await isLetIn(granted.credential)).toBe(false);
      await mayfly.assertNothingLeaks(other);
    },
  );

  test.each(["end.requested", "end.marked"])(
    "of two completions, one of them held at %s, both tell the same end, which is one",
    async (point) => {
      const ref = `twice-${point}`;
      const granted = await opened(ref);
      const { broker, reply } = await heldAt(point, (one) => complete(one, granted));
      const second = await complete(other, granted);
      broker.thaw();
      for (const answer of [await reply, second]) {
        accepted(answer, "a completion");
        expect(textAt(answer, "task", "state")).toBe("completed");
        expect(listAt(answer, "leases")).toMatchObject([{ state: "ended", outcome: "revoked" }]);
      }
      expect(await endsOf(ref)).toEqual({ tasks: 1, leases: 1 });
      await mayfly.assertNothingLeaks(other);
    },
  );

  test.each(["reserve.before", "reserve.after", "activate.after"])(
    "a kill while a delegation is held at %s takes the child with it",
    async (point) => {
      const ref = `child-${point}`;
      const parent = await opened(`parent-${point}`, { credentials: LATER });
      const { broker, reply } = await heldAt(point, (one) =>
        one.api.exchange(childOf(parent, ref)),
      );
      accepted(await kill(other, parent), "the kill");
      broker.thaw();
      expect(await isWorthNothing(await reply)).toBe(true);
      const [row] = await mayfly.ledger<{ active: number }[]>`
        SELECT count(*)::int AS active FROM mayfly.tasks
        WHERE ref = ${ref} AND state = 'active'`;
      expect(row?.active).toBe(0);
      await mayfly.assertNothingLeaks(other);
    },
  );

  test.each(["reserve.after", "issue.after"])(
    "one Idempotency-Key at another broker while the first is held at %s: one secret works",
    async (point) => {
      const ref = `key-${point}`;
      const exchange = { ...opening(mayfly, ref), idempotencyKey: ref };
      const { broker, reply } = await heldAt(point, (one) => one.api.exchange(exchange));
      const second = await other.api.exchange(exchange);
      const granted = grantedOf(second);
      broker.thaw();
      const first = await reply;
      const secrets = [first, second].filter(({ status }) => status === 200).map(grantedOf);
      const leases = await leasesOf(mayfly, ref);
      const live = leases.filter(({ state }) => state === "active");
      expect(live).toHaveLength(1);
      accepted(await kill(other, granted), "the end");
      await settled(mayfly, ref);
      for (const { credential } of secrets) expect(await isLetIn(credential)).toBe(false);
      await mayfly.assertNothingLeaks(other);
    },
  );

  test("a kill of the root while exchanges of its descendants are held leaves none alive", async () => {
    const root = await opened("storm", { credentials: LATER });
    const child = grantedOf(await other.api.exchange(childOf(root, "storm-1")));
    const grandchild = grandchildOf(child);
    const deep = grantedOf(await other.api.exchange(grandchild));
    const below = [child, deep, child, deep, child, deep];
    const { broker, reply } = await heldAt("issue.after", async (one) => {
      const replies = await Promise.all(below.map((task) => one.api.exchange(draw(task))));
      for (const answer of replies) expect(await isWorthNothing(answer)).toBe(true);
      return replies[0]!;
    });
    // The others of the crowd are on their way while the kill is.
    const crowd = Promise.all(below.map((task) => other.api.exchange(draw(task))));
    accepted(await kill(other, root), "the kill");
    broker.thaw();
    await reply;
    await crowd;
    for (const ref of ["storm", "storm-1", "storm-2"]) await settled(mayfly, ref);
    for (const answer of await crowd) expect(await isWorthNothing(answer)).toBe(true);
    await mayfly.assertNothingLeaks(other);
  });
});

const grandchildOf = (child: Granted) => ({
  subject: child.taskToken,
  isTaskToken: true,
  details: taskDetails("storm-2", { parent: child.taskId, deadline: "4m", credentials: LATER }),
});

describe.concurrent("two workers on one lease", () => {
  test.each(["revoke.before", "revoke.after"])(
    "one is held at %s past its claim, another ends the lease: it is ended once",
    async (point) => {
      await using own = await startInstallation();
      const broker = await own.startBroker();
      await own.register(broker);
      const slow = await own.startWorker({ MAYFLY_UNSAFE_FAIL_POINT: `${point}=stop` });
      const ref = `claim-${point}`;
      const granted = grantedOf(await broker.api.exchange(opening(own, ref)));
      const path = `/v1/tasks/${granted.taskId}/complete`;
      accepted(await broker.api.call(granted.taskToken, "POST", path, {}), path);
      await slow.frozen();
      // Meanwhile the backend is registered anew: its next revision must still end this lease.
      const config = { ...backendConfig(own.orders), call_seconds_max: 9 };
      const body = { type: "postgres", config };
      accepted(await broker.api.admin("PUT", `/v1/backends/${BACKEND}`, body), "the new revision");
      await own.startWorker();
      await settled(own, ref);
      slow.thaw();
      await own.assertNothingLeaks(broker);
      expect(await theSettled(own, ref)).toMatchObject({ outcome: "revoked" });
      expect(await isLetIn(granted.credential)).toBe(false);
      const [row] = await own.ledger<{ ended: number }[]>`
        SELECT count(*)::int AS ended FROM mayfly.events WHERE kind = 'lease.ended'`;
      expect(row?.ended).toBe(1);
    },
  );

  test("a backend's new revision while its old one is held in a revocation ends the lease", async () => {
    await using own = await startInstallation();
    const broker = await own.startBroker();
    await own.register(broker);
    const worker = await own.startWorker({ MAYFLY_UNSAFE_FAIL_POINT: "revoke.before=stop" });
    const granted = grantedOf(await broker.api.exchange(opening(own, "revision")));
    const path = `/v1/tasks/${granted.taskId}/complete`;
    accepted(await broker.api.call(granted.taskToken, "POST", path, {}), path);
    await worker.frozen();
    const config = { ...backendConfig(own.orders), call_seconds_max: 8 };
    const body = { type: "postgres", config, enabled: false };
    accepted(await broker.api.admin("PUT", `/v1/backends/${BACKEND}`, body), "the new revision");
    worker.thaw();
    expect(await theSettled(own, "revision")).toMatchObject({ outcome: "revoked" });
    expect(await isLetIn(granted.credential)).toBe(false);
    await own.assertNothingLeaks(broker);
  });
});
