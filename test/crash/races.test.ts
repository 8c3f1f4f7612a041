import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accepted,
  codeOf,
  grantedOf,
  listAt,
  READER,
  startInstallation,
  textAt,
  until,
  type Granted,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { isLetIn, leasesOf, opening, SETTLE_MS_MAX, settled, tasksOf } from "./scene.ts";

let mayfly: Installation;
let one: RunningBroker;
let other: RunningBroker;

beforeAll(async () => {
  mayfly = await startInstallation();
  one = await mayfly.startBroker();
  await mayfly.register(one);
  other = await mayfly.startBroker();
  await mayfly.startWorker();
});
afterAll(async () => {
  await mayfly?.[Symbol.asyncDispose]();
});

const endPath = ({ taskId }: Granted, verb: string): string => `/v1/tasks/${taskId}/${verb}`;

describe("two brokers at once", () => {
  test("one Idempotency-Key is one task and one live credential, of another secret", async () => {
    for (let round = 0; round < 5; round++) {
      const ref = `key-${round}`;
      const exchange = { ...opening(mayfly, ref), idempotencyKey: ref };
      const replies = await Promise.all([
        one.api.exchange(exchange),
        other.api.exchange(exchange),
        one.api.exchange(exchange),
      ]);
      const granted = replies.filter(({ status }) => status === 200).map(grantedOf);
      const codes = replies.filter(({ status }) => status !== 200).map(codeOf);
      // A lower generation's secret is withheld; whoever lost too often is told to come again.
      expect(codes.filter((code) => code !== "conflict" && code !== "busy")).toEqual([]);
      expect(granted.length).toBeGreaterThan(0);
      expect(new Set(granted.map(({ taskId }) => taskId)).size).toBe(1);
      expect(await tasksOf(mayfly, ref)).toHaveLength(1);
      const passwords = new Set(granted.map(({ credential }) => credential.password));
      expect(passwords.size).toBe(granted.length);
      await until("all but one generation to end", SETTLE_MS_MAX, async () => {
        const live = (await leasesOf(mayfly, ref)).filter(({ state }) => state !== "ended");
        return live.length === 1 && live[0]?.state === "active";
      });
      const leases = await leasesOf(mayfly, ref);
      const generations = leases.map(({ generation }) => generation);
      expect(new Set(generations).size).toBe(generations.length);
      const [live] = leases.filter(({ state }) => state === "active");
      expect(live?.generation).toBe(Math.max(...generations));
      const letIn = await Promise.all(granted.map(({ credential }) => isLetIn(credential)));
      expect(letIn.filter((isIn) => isIn)).toHaveLength(1);
      await complete(granted[0]!);
    }
    await mayfly.assertNothingLeaks(one);
  });

  test("a key with another body is refused while its first exchange still runs", async () => {
    const key = { idempotencyKey: "bodies" };
    const [first, second] = await Promise.all([
      one.api.exchange({ ...opening(mayfly, "body-1"), ...key }),
      other.api.exchange({ ...opening(mayfly, "body-2"), ...key }),
    ]);
    const statuses = [first, second].map(({ status }) => status);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 409]);
    const [granted] = [first, second].filter(({ status }) => status === 200);
    await complete(grantedOf(granted!));
    await mayfly.assertNothingLeaks(one);
  });

  test("two completions end a task once, and both tell the truth", async () => {
    const granted = grantedOf(await one.api.exchange(opening(mayfly, "twice")));
    const replies = await Promise.all([
      one.api.call(granted.taskToken, "POST", endPath(granted, "complete"), { wait: 30 }),
      other.api.admin("POST", endPath(granted, "kill"), { wait: 30 }),
    ]);
    for (const reply of replies) {
      accepted(reply, "an end");
      expect(listAt(reply, "leases")).toMatchObject([{ state: "ended", outcome: "revoked" }]);
    }
    const states = replies.map((reply) => textAt(reply, "task", "state"));
    expect(new Set(states).size).toBe(1);
    const [events] = await mayfly.ledger<{ ended: number; revoked: number }[]>`
      SELECT count(*) FILTER (WHERE e.kind = 'task.ended')::int AS ended,
        count(*) FILTER (WHERE e.kind = 'lease.ended')::int AS revoked
      FROM mayfly.events e JOIN mayfly.tasks t ON t.id = e.task_id WHERE t.ref = 'twice'`;
    expect(events).toEqual({ ended: 1, revoked: 1 });
    await mayfly.assertNothingLeaks(one);
  });

  test("an exchange that races a completion is refused, or its credential is dead", async () => {
    const outcomes: string[] = [];
    for (let round = 0; round < 12; round++) {
      const ref = `race-${round}`;
      const credentials = [{ role: READER }, { role: READER, issue: "later" }];
      const granted = grantedOf(await one.api.exchange(opening(mayfly, ref, { credentials })));
      const drawing = other.api.exchange({
        subject: granted.taskToken,
        isTaskToken: true,
        details: { type: "mayfly-task", task: granted.taskId, credentials: [{ role: READER }] },
      });
      // A little later in each round, so that the end meets each step of the exchange.
      await new Promise((resolve) => setTimeout(resolve, round * 4));
      const [drawn] = await Promise.all([drawing, complete(granted)]);
      if (drawn.status === 200) {
        await settled(mayfly, ref);
        expect(await isLetIn(grantedOf(drawn).credential)).toBe(false);
        outcomes.push("dead");
      } else {
        expect(codeOf(drawn)).toBe("task_ended");
        outcomes.push("refused");
      }
      await settled(mayfly, ref);
    }
    expect(outcomes).toHaveLength(12);
    await mayfly.assertNothingLeaks(one);
  });
});

async function complete(granted: Granted): Promise<void> {
  const path = endPath(granted, "complete");
  accepted(await one.api.call(granted.taskToken, "POST", path, { wait: 30 }), path);
}
