import { describe, expect, test } from "vitest";
import {
  accepted,
  BRIEF_ISSUE,
  codeOf,
  grantedOf,
  READER,
  startInstallation,
  until,
  type Granted,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import {
  diedBySigkill,
  dies,
  isLetIn,
  opening,
  roleNow,
  SETTLE_MS_MAX,
  tasksOf,
  theLease,
  theSettled,
} from "./scene.ts";

/** A ledger of its own for each row, since the worker that is killed must be the only one. */
async function withMayfly(
  test: (mayfly: Installation, survivor: RunningBroker) => Promise<void>,
): Promise<void> {
  await using mayfly = await startInstallation();
  const survivor = await mayfly.startBroker();
  await mayfly.register(survivor);
  await test(mayfly, survivor);
  await mayfly.assertNothingLeaks(survivor);
}

const failAt = (point: string) => ({ MAYFLY_UNSAFE_FAIL_POINT: `${point}=kill` });
const open = async (mayfly: Installation, broker: RunningBroker, ref: string): Promise<Granted> =>
  grantedOf(
    await broker.api.exchange(
      opening(mayfly, ref, {
        credentials: [{ role: READER }, { role: READER, issue: "later" }],
      }),
    ),
  );
const completePath = ({ taskId }: Granted): string => `/v1/tasks/${taskId}/complete`;

describe.concurrent("a broker killed while it ends a task", () => {
  test("row 13: killed at end.requested, nothing new begins and the sweep applies it", () =>
    withMayfly(async (mayfly, survivor) => {
      const worker = await mayfly.startWorker();
      const granted = await open(mayfly, survivor, "row-13");
      const broker = await mayfly.startBroker(failAt("end.requested"));
      worker.freeze();
      await worker.frozen();
      await dies(broker, broker.api.call(granted.taskToken, "POST", completePath(granted), {}));
      expect(await tasksOf(mayfly, "row-13")).toMatchObject([
        { state: "active", endRequested: true, endApplied: false },
      ]);
      const refused = await survivor.api.exchange({
        subject: granted.taskToken,
        isTaskToken: true,
        details: { type: "mayfly-task", task: granted.taskId, credentials: [{ role: READER }] },
      });
      expect(codeOf(refused)).toBe("task_ended");
      const path = `/v1/leases/${granted.lease}/renew`;
      const renewal = await survivor.api.call(granted.taskToken, "POST", path, { ttl: "20m" });
      expect(codeOf(renewal)).toBe("task_ended");
      worker.thaw();
      expect((await theSettled(mayfly, "row-13")).outcome).toBe("revoked");
      expect(await tasksOf(mayfly, "row-13")).toMatchObject([
        { state: "completed", endApplied: true },
      ]);
      expect(await isLetIn(granted.credential)).toBe(false);
    }));

  test("row 14: killed at end.marked, the sweep claims what is due without an alarm", () =>
    withMayfly(async (mayfly, survivor) => {
      const worker = await mayfly.startWorker();
      const granted = await open(mayfly, survivor, "row-14");
      const broker = await mayfly.startBroker(failAt("end.marked"));
      worker.freeze();
      await worker.frozen();
      await dies(broker, broker.api.call(granted.taskToken, "POST", completePath(granted), {}));
      expect(await tasksOf(mayfly, "row-14")).toMatchObject([
        { state: "completed", endApplied: true },
      ]);
      expect(await theLease(mayfly, "row-14")).toMatchObject({ state: "ending" });
      worker.thaw();
      expect((await theSettled(mayfly, "row-14")).outcome).toBe("revoked");
      expect(await isLetIn(granted.credential)).toBe(false);
    }));
});

describe.concurrent("a worker killed while it ends a lease", () => {
  /** Completes a task whose only worker is killed at the point; answers what it left. */
  async function crashWorkerAt(
    point: string,
    ref: string,
    mayfly: Installation,
    survivor: RunningBroker,
  ): Promise<Granted> {
    const worker = await mayfly.startWorker(failAt(point));
    const granted = await open(mayfly, survivor, ref);
    const path = completePath(granted);
    accepted(await survivor.api.call(granted.taskToken, "POST", path, {}), path);
    await diedBySigkill(worker);
    return granted;
  }

  test("row 15: killed at revoke.before, the next claim revokes", () =>
    withMayfly(async (mayfly, survivor) => {
      const granted = await crashWorkerAt("revoke.before", "row-15-before", mayfly, survivor);
      const left = await theLease(mayfly, "row-15-before");
      expect(left.state).toBe("ending");
      expect(await roleNow(mayfly, left.role)).toMatchObject({ canLogin: true });
      await mayfly.startWorker();
      expect((await theSettled(mayfly, "row-15-before")).outcome).toBe("revoked");
      expect(await isLetIn(granted.credential)).toBe(false);
    }));

  test("row 15: killed at revoke.after, the next claim revokes again and finds nothing", () =>
    withMayfly(async (mayfly, survivor) => {
      const granted = await crashWorkerAt("revoke.after", "row-15-after", mayfly, survivor);
      const left = await theLease(mayfly, "row-15-after");
      expect(left.state).toBe("ending");
      expect(await roleNow(mayfly, left.role)).toBeNull();
      await mayfly.startWorker();
      expect((await theSettled(mayfly, "row-15-after")).outcome).toBe("revoked");
      expect(await isLetIn(granted.credential)).toBe(false);
    }));

  test("row 16: killed at probe.after, the next claim looks again and settles", () =>
    withMayfly(async (mayfly, survivor) => {
      const granted = await crashWorkerAt("probe.after", "row-16-probe", mayfly, survivor);
      const left = await theLease(mayfly, "row-16-probe");
      expect(left.state).toBe("ending");
      expect(await roleNow(mayfly, left.role)).toBeNull();
      await mayfly.startWorker();
      expect((await theSettled(mayfly, "row-16-probe")).outcome).toBe("revoked");
      expect(await isLetIn(granted.credential)).toBe(false);
    }));

  test("row 16: killed at settle.after, it is settled and nobody does it again", () =>
    withMayfly(async (mayfly, survivor) => {
      const granted = await crashWorkerAt("settle.after", "row-16", mayfly, survivor);
      expect(await theLease(mayfly, "row-16")).toMatchObject({
        state: "ended",
        outcome: "revoked",
      });
      await mayfly.startWorker();
      const { lease } = granted;
      await until("the sweeps of the next worker", SETTLE_MS_MAX, async () => {
        const [row] = await mayfly.ledger<{ fresh: boolean }[]>`
          SELECT finished_at > (SELECT max(ended_at) FROM mayfly.leases) AS fresh
          FROM mayfly.sweeps WHERE backend_id = ''`;
        return row?.fresh;
      });
      const [events] = await mayfly.ledger<{ times: number }[]>`
        SELECT count(*)::int AS times FROM mayfly.events
        WHERE kind = 'lease.ended' AND 'lease_' || replace(lease_id::text, '-', '') = ${lease}`;
      expect(events?.times).toBe(1);
    }));

  /** Leaves a reservation whose credential nobody holds, and kills the worker that recovers it. */
  async function crashRecoveryAt(
    point: string,
    ref: string,
    mayfly: Installation,
    survivor: RunningBroker,
  ): Promise<void> {
    const worker = await mayfly.startWorker(failAt(point));
    const broker = await mayfly.startBroker({ ...BRIEF_ISSUE, ...failAt("issue.after") });
    await dies(broker, broker.api.exchange(opening(mayfly, ref)));
    await diedBySigkill(worker);
    expect(survivor.hasEnded()).toBe(false);
  }

  test("row 17: killed at recover.before, the next claim recovers", () =>
    withMayfly(async (mayfly, survivor) => {
      await crashRecoveryAt("recover.before", "row-17-before", mayfly, survivor);
      const left = await theLease(mayfly, "row-17-before");
      expect(left.state).toBe("ending");
      expect(left.isPastSettleBy).toBe(true);
      expect(await roleNow(mayfly, left.role)).toMatchObject({ canLogin: true });
      await mayfly.startWorker();
      expect((await theSettled(mayfly, "row-17-before")).outcome).toBe("revoked");
      expect(await roleNow(mayfly, left.role)).toBeNull();
    }));

  test("row 17: killed at recover.after, what was destroyed ends as revoked, not as absent", () =>
    withMayfly(async (mayfly, survivor) => {
      await crashRecoveryAt("recover.after", "row-17-after", mayfly, survivor);
      const left = await theLease(mayfly, "row-17-after");
      expect(left.state).toBe("ending");
      expect((await roleNow(mayfly, left.role))?.canLogin ?? false).toBe(false);
      await mayfly.startWorker();
      const lease = await theSettled(mayfly, "row-17-after");
      expect(lease.outcome).toBe("revoked");
      const [looked] = await mayfly.ledger<{ found: unknown }[]>`
        SELECT looked -> 'found' AS found FROM mayfly.leases 
        WHERE 'lease_' || replace(id::text, '-', '') = ${lease.id}`;
      expect(looked?.found).toEqual({ roles: 1, tombstone: false });
      expect(await roleNow(mayfly, left.role)).toBeNull();
    }));
});
