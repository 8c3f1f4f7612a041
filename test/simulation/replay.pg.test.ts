import { afterAll, beforeAll, expect, test } from "vitest";
import { durationSeconds, instantMs, plusSeconds, type InstantMs, type TaskId } from "@mayfly/spec";
import type { MemoryLedger } from "@mayfly/testkit";
import { createDraw } from "./draw.ts";
import { drawRates } from "./faults.ts";
import type { RecordedOperation } from "./record-operations.ts";
import { createReplayDatabase, type ReplayDatabase } from "./replay-database.ts";
import { Replay, shapeOf } from "./replay-operations.ts";
import { runHistory, SMALL } from "./run-history.ts";

/** The histories of one seed are the same in each run: another seed is looked at by hand. */
const SEED = "2026-11-29T03:24:01.820Z";
/** As many as there is time for, up to this many. */
const HISTORIES_MAX = 600;
const BUDGET_MS = 110_000;
/** What a machine manages in that time that has nine others' work to do. */
const HISTORIES_MIN = 50;
const LANES = 3;
const PER_LANE = HISTORIES_MAX / LANES;
const LONG_MS = 900_000;
/** Between two histories of one ledger: nothing of the one is due in the other. */
const GAP_SECONDS = durationSeconds(600);

let databases: readonly ReplayDatabase[] = [];
beforeAll(async () => {
  databases = await Promise.all(Array.from({ length: LANES }, () => createReplayDatabase()));
});
afterAll(() => Promise.all(databases.map((database) => database.close())));

/** Histories of these names, one after the other, on one ledger. */
async function playHistories(
  names: Iterable<string>,
  database: ReplayDatabase,
  untilMs: number = Number.POSITIVE_INFINITY,
): Promise<{ readonly histories: number; readonly operations: number }> {
  const replay = new Replay(database);
  let startAt = instantMs(Date.now());
  let histories = 0;
  for (const name of names) {
    if (performance.now() >= untilMs) break;
    const { installation, operations } = await record(name, startAt);
    const { ledger, clock } = installation;
    startAt = plusSeconds(clock.now(), GAP_SECONDS);
    if (histories === 0) await replay.furnish(operations, await ledger.catalog.version());
    const difference = await replay.play(name, operations);
    if (difference !== null) {
      expect(difference.postgres, difference.operation).toEqual(difference.model);
    }
    await compareEnds(name, ledger, database);
    histories++;
  }
  return { histories, operations: replay.made };
}

/** A small history of the model, with what its ledger was asked. */
async function record(seed: string, startAt: InstantMs) {
  const operations: RecordedOperation[] = [];
  // While the ledger is away nothing is recorded; a changed backend has another revision there.
  const drawn = drawRates(createDraw(seed).fork("rates"));
  const rates = { ...drawn, outage: 0, change: 0 };
  const { installation } = await runHistory({ seed, scale: SMALL, rates, startAt, operations });
  return { installation, operations };
}

async function compareEnds(
  name: string,
  ledger: MemoryLedger,
  database: ReplayDatabase,
): Promise<void> {
  for (const { id, parentId } of ledger.inspect.tasks()) {
    if (parentId !== null) continue;
    const [model, real] = [await endOf(ledger, id), await endOf(database.broker, id)];
    expect(shapeOf("taskChain", real), name).toEqual(shapeOf("taskChain", model));
  }
}

/** What became of a task and all below it; of events, what both ledgers say of them. */
async function endOf({ queries }: Pick<MemoryLedger, "queries">, id: TaskId): Promise<unknown> {
  const chain = await queries.taskChain(id);
  const events = chain?.events.map(({ kind, at, actor, taskId, leaseId, decisionId }) => ({
    kind,
    at,
    actor,
    taskId,
    leaseId,
    decisionId,
  }));
  return { ...chain, events };
}

test(
  "simulated histories come to the same on real PostgreSQL, call by call and in the end",
  async () => {
    const untilMs = performance.now() + BUDGET_MS;
    const played = await Promise.all(
      databases.map((database, lane) => {
        const names = Array.from({ length: PER_LANE }, (_, count) => `${SEED}/${lane}/${count}`);
        return playHistories(names, database, untilMs);
      }),
    );
    const histories = played.reduce((sum, lane) => sum + lane.histories, 0);
    const operations = played.reduce((sum, lane) => sum + lane.operations, 0);
    process.stderr.write(`replayed ${histories} histories, ${operations} calls, seed ${SEED}\n`);
    expect(histories).toBeGreaterThanOrEqual(HISTORIES_MIN);
  },
  LONG_MS,
);

test("a task is idle on PostgreSQL too from the millisecond at which its timeout has passed", async () => {
  const database = await createReplayDatabase();
  try {
    const { installation, operations } = await record("idle", instantMs(Date.now()));
    const replay = new Replay(database);
    await replay.furnish(operations, await installation.ledger.catalog.version());
    const opened = operations.findIndex(({ method }) => method === "reserve");
    expect(await replay.play("idle", operations.slice(0, opened + 1))).toBeNull();

    const [task] = installation.ledger.inspect.tasks();
    if (task === undefined) throw new Error("the history opened no task");
    const { idleTimeoutSeconds, deadlineSeconds } = task.descriptor;
    expect(idleTimeoutSeconds).toBeLessThan(deadlineSeconds);
    const idleFrom = plusSeconds(operations[opened]?.at ?? task.openedAt, idleTimeoutSeconds);
    await database.setClock(instantMs(idleFrom - 1));
    expect(await database.ports.sweep.dueTasks(10)).toEqual([]);
    await database.setClock(idleFrom);
    expect(await database.ports.sweep.dueTasks(10)).toEqual([{ id: task.id, due: "idle" }]);
  } finally {
    await database.close();
  }
});
