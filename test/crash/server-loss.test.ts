import { describe, expect, test } from "vitest";
import {
  accepted,
  BRIEF_ISSUE,
  codeOf,
  ConnectionLost,
  grantedOf,
  listAt,
  pause,
  startInstallation,
  startRestartable,
  textAt,
  until,
  type Granted,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { isLetIn, opening, SETTLE_MS_MAX, theLease } from "./scene.ts";

const AGENT_PAUSE_MS = 100;
const complete = (broker: RunningBroker, granted: Granted) =>
  broker.api.call(granted.taskToken, "POST", `/v1/tasks/${granted.taskId}/complete`, {});

async function allEnded(mayfly: Installation): Promise<void> {
  await until("every lease to end", SETTLE_MS_MAX, async () => {
    const rows = await mayfly.ledger<{ live: number }[]>`
      SELECT count(*)::int AS live FROM mayfly.leases WHERE state <> 'ended'`.catch(() => []);
    return rows[0]?.live === 0;
  });
}

test.concurrent("a customer's server that is down: stuck, listed, issuing paused, then resolved", async () => {
  await using customer = await startRestartable();
  await using mayfly = await startInstallation({
    customerServer: customer,
    settings: { MAYFLY_ATTEMPTS_UNTIL_STUCK: "2", MAYFLY_STUCK_MAX: "2" },
  });
  const broker = await mayfly.startBroker();
  await mayfly.register(broker);
  await mayfly.startWorker();
  const granted: Granted[] = [];
  for (const ref of ["down-0", "down-1", "down-2"]) {
    granted.push(grantedOf(await broker.api.exchange(opening(mayfly, ref))));
  }
  await customer.lose("kill");
  for (const one of granted) accepted(await complete(broker, one), "complete");
  const stuck = await until("three stuck leases", SETTLE_MS_MAX, async () => {
    const reply = await broker.api.admin("GET", "/v1/leases?state=stuck");
    return listAt(reply, "items").length === 3 && reply;
  });
  expect(listAt(stuck, "items")).toMatchObject(
    granted.map(() => ({ exposure: { kind: "unknown", reason: "stuck" } })),
  );
  const counts = await broker.api.admin("GET", "/v1/ledger/counts");
  expect(counts.body).toMatchObject({ leases_stuck: 3 });
  const paused = await until("issuing to pause", SETTLE_MS_MAX, async () => {
    const reply = await broker.api.exchange(opening(mayfly, "paused"));
    return codeOf(reply) === "issuing_paused" && reply;
  });
  expect(textAt(paused, "error_description")).toContain("stuck");
  await customer.start();
  await allEnded(mayfly);
  for (const [index, one] of granted.entries()) {
    expect((await theLease(mayfly, `down-${index}`)).outcome).toBe("revoked");
    expect(await isLetIn(one.credential)).toBe(false);
  }
  const again = await until("issuing to resume", SETTLE_MS_MAX, async () => {
    const reply = await broker.api.exchange(opening(mayfly, "again"));
    return reply.status === 200 && reply;
  });
  accepted(await complete(broker, grantedOf(again)), "complete");
  await allEnded(mayfly);
  await mayfly.assertNothingLeaks(broker);
});

describe.concurrent("a server that is restarted while agents exchange and complete", () => {
  test.each([
    ["customer", "fast"],
    ["customer", "kill"],
    ["ledger", "fast"],
    ["ledger", "kill"],
  ] as const)("the %s's, by %s: every lease settles", async (which, how) => {
    await using server = await startRestartable();
    await using mayfly = await startInstallation(
      which === "customer"
        ? { customerServer: server, settings: BRIEF_ISSUE }
        : { ledgerServer: server, settings: BRIEF_ISSUE },
    );
    const broker = await mayfly.startBroker();
    await mayfly.register(broker);
    await mayfly.startWorker();
    const phase = { stopped: false, restarted: false };
    const agents = Array.from({ length: 4 }, (_, index) => live(mayfly, broker, index, phase));
    await until("work under way", SETTLE_MS_MAX, async () =>
      agents.every(({ completed }) => completed.before > 0),
    );
    await server.lose(how);
    await server.start();
    phase.restarted = true;
    await until("work after the restart", SETTLE_MS_MAX, async () =>
      agents.every(({ completed }) => completed.after > 0),
    );
    phase.stopped = true;
    await Promise.all(agents.map(({ ended }) => ended));
    await endTheRest(mayfly, broker);
    await allEnded(mayfly);
    await mayfly.assertNothingLeaks(broker);
    expect(await mayfly.findLeaks(broker)).toEqual([]);
  });
});

interface LivingAgent {
  readonly completed: { before: number; after: number };
  readonly ended: Promise<void>;
}

/** Opens tasks and completes them, one after the other, whatever it is answered. */
function live(
  mayfly: Installation,
  broker: RunningBroker,
  index: number,
  phase: { readonly stopped: boolean; readonly restarted: boolean },
): LivingAgent {
  const completed = { before: 0, after: 0 };
  const work = async (): Promise<void> => {
    for (let round = 0; !phase.stopped; round++) {
      const reply = await broker.api.exchange(opening(mayfly, `agent-${index}-${round}`));
      if (reply.status !== 200) {
        await pause(AGENT_PAUSE_MS);
        continue;
      }
      const ended = await complete(broker, grantedOf(reply));
      if (ended.status !== 200) continue;
      if (phase.restarted) completed.after++;
      else completed.before++;
    }
  };
  return { completed, ended: work() };
}

/** Tasks whose completion failed, or whose opening was answered by an error after its commit. */
async function endTheRest(mayfly: Installation, broker: RunningBroker): Promise<void> {
  const tasks = await mayfly.ledger<{ id: string }[]>`
    SELECT 'task_' || replace(id::text, '-', '') AS id FROM mayfly.tasks WHERE state = 'active'`;
  for (const { id } of tasks) {
    const reply = await broker.api
      .admin("POST", `/v1/tasks/${id}/kill`, {})
      .catch((error: unknown) => {
        if (error instanceof ConnectionLost) return null;
        throw error;
      });
    if (reply !== null) accepted(reply, "the kill");
  }
}
