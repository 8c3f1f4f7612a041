import { expect, test } from "vitest";
import {
  accepted,
  grantedOf,
  READER,
  startInstallation,
  until,
  type Granted,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { AGENT, opening, SETTLE_MS_MAX } from "./scene.ts";

const CLIENTS = 8;
/** Of a second or two on a quiet machine; with plain share locks it took as long as the load. */
const KILL_MS_MAX = 60_000;

/** What one client saw: exchanges granted, and refusals after the kill was sent. */
interface Tally {
  granted: number;
  refused: number;
  /** Granted to an exchange that was sent after the kill had been answered. */
  grantedTooLate: number;
}

test("under eight clients below one root, killing it completes while they exchange", async () => {
  await using mayfly = await startInstallation({
    settings: { MAYFLY_LIVE_LEASES_MAX_PER_TASK: "10000" },
  });
  const brokers = [await mayfly.startBroker(), await mayfly.startBroker()];
  const [first] = brokers;
  await mayfly.register(first!);
  await mayfly.startWorker();
  const root = grantedOf(
    await first!.api.exchange(
      opening(mayfly, "root", {
        credentials: [{ role: READER }, { role: READER, issue: "later" }],
      }),
    ),
  );
  const phase = { killed: false, stopped: false };
  const tallies = Array.from({ length: CLIENTS }, (): Tally => {
    return { granted: 0, refused: 0, grantedTooLate: 0 };
  });
  // Whatever fails below, they are stopped and waited for before their brokers go.
  await using clients = crowd(phase, () =>
    tallies.map((tally, index) =>
      exchangeUntilStopped(mayfly, brokers[index % 2]!, root, index, phase, tally),
    ),
  );
  await clients.until("every client to be granted twice", async () =>
    tallies.every(({ granted }) => granted >= 2),
  );
  const sentAt = performance.now();
  const kill = await first!.api.admin("POST", `/v1/tasks/${root.taskId}/kill`, {});
  const killedAfterMs = performance.now() - sentAt;
  phase.killed = true;
  accepted(kill, "the kill");
  // They had not stopped when the answer came, and are refused from then on.
  await clients.until("every client to be refused", async () =>
    tallies.every(({ refused }) => refused >= 2),
  );
  await clients.stop();
  expect(killedAfterMs).toBeLessThan(KILL_MS_MAX);
  expect(tallies.map(({ grantedTooLate }) => grantedTooLate)).toEqual(Array(CLIENTS).fill(0));
  await until("every lease below the root to end", SETTLE_MS_MAX, async () => {
    const [row] = await mayfly.ledger<{ live: number }[]>`
      SELECT count(*)::int AS live FROM mayfly.leases WHERE state <> 'ended'`;
    return row?.live === 0;
  });
  const [tasks] = await mayfly.ledger<{ active: number; all: number }[]>`
    SELECT count(*) FILTER (WHERE state = 'active')::int AS active, count(*)::int AS all
    FROM mayfly.tasks`;
  expect(tasks?.active).toBe(0);
  expect(tasks?.all).toBeGreaterThan(CLIENTS / 2);
  await mayfly.assertNothingLeaks(first!);
});

/** Clients of one test, which fails with the first failure of any of them, and never leaves one. */
interface Crowd extends AsyncDisposable {
  until(what: string, look: () => Promise<boolean>): Promise<void>;
  /** Rejects with the first failure. */
  stop(): Promise<void>;
}

function crowd(phase: { stopped: boolean }, begin: () => readonly Promise<void>[]): Crowd {
  const clients = begin();
  const failures: unknown[] = [];
  const all = Promise.all(
    clients.map((client) =>
      client.catch((error: unknown) => {
        failures.push(error);
      }),
    ),
  );
  const failed = (): void => {
    if (failures.length > 0) throw failures[0];
  };
  const end = async (): Promise<void> => {
    phase.stopped = true;
    await all;
  };
  return {
    until: async (what, look) => {
      await until(what, SETTLE_MS_MAX, async () => {
        failed();
        return look();
      });
    },
    stop: async () => {
      await end();
      failed();
    },
    [Symbol.asyncDispose]: end,
  };
}

/** Half of them open children of the root, half draw on the root itself. */
async function exchangeUntilStopped(
  mayfly: Installation,
  broker: RunningBroker,
  root: Granted,
  index: number,
  phase: { readonly killed: boolean; readonly stopped: boolean },
  tally: Tally,
): Promise<void> {
  const child = { ...(opening(mayfly, `child-${index}`).details as object), parent: root.taskId };
  const draw = { type: "mayfly-task", task: root.taskId, credentials: [{ role: READER }] };
  while (!phase.stopped) {
    const sentAfterKill = phase.killed;
    const reply = await broker.api.exchange({
      subject: root.taskToken,
      isTaskToken: true,
      details: index % 2 === 0 ? child : draw,
    });
    if (reply.status === 200) {
      tally.granted++;
      if (sentAfterKill) tally.grantedTooLate++;
    } else if (sentAfterKill) {
      tally.refused++;
    } else if (reply.status >= 500 && reply.status !== 503) {
      throw new Error(`${AGENT} ${index} was answered ${reply.text}`);
    }
  }
}
