import { isDeepStrictEqual } from "node:util";
import { durationSeconds, instantMs, plusSeconds, type InstantMs, type TaskId } from "@mayfly/spec";
import type { MemoryLedger } from "@mayfly/testkit";
import { createDraw } from "../simulation/draw.ts";
import { drawRates } from "../simulation/faults.ts";
import type { SimulatedInstallation } from "../simulation/installation.ts";
import type { Violation } from "../simulation/invariants.ts";
import type { RecordedOperation } from "../simulation/record-operations.ts";
import { SMALL, TINY, runHistory } from "../simulation/run-history.ts";
import type { ReplayDatabase } from "./replay-database.ts";
import { Replay, shapeOf, type Difference } from "./replay-operations.ts";

export interface Replayed {
  readonly histories: number;
  /** Of the ledger, made again on PostgreSQL. */
  readonly calls: number;
  /** The first, which ended it. */
  readonly difference: Difference | null;
}

/** Of the first: the same always, so that the parts of a millisecond are the same as well. */
const START_AT = instantMs(Date.UTC(2026, 10, 29));
/** Between two histories of one ledger: nothing of the one is due in the other. */
const GAP_SECONDS = durationSeconds(600);
/** One of so many has two agents, and more steps. */
const LARGER_EVERY = 20;

/** Histories of these names, one after the other, on one ledger. */
export async function replayHistories(
  names: Iterable<string>,
  database: ReplayDatabase,
  told: (histories: number) => void = () => undefined,
): Promise<Replayed> {
  const replay = new Replay(database);
  let startAt = START_AT;
  let histories = 0;
  for (const name of names) {
    const scale = histories % LARGER_EVERY === 0 ? SMALL : TINY;
    const { installation, operations, violations } = await recordHistory(name, startAt, scale);
    if (violations.length > 0) {
      const operation = `${name}: what the model itself breaks`;
      const difference = { operation, model: violations, postgres: null };
      return { histories, calls: replay.made, difference };
    }
    const { ledger, clock } = installation;
    startAt = plusSeconds(clock.now(), GAP_SECONDS);
    if (histories === 0) await replay.furnish(operations, await ledger.catalog.version());
    const difference =
      (await replay.play(name, operations)) ?? (await compareEnds(name, ledger, database));
    if (difference !== null) return { histories, calls: replay.made, difference };
    told(++histories);
  }
  return { histories, calls: replay.made, difference: null };
}

/** A history of the model, with what its ledger was asked. */
export async function recordHistory(
  seed: string,
  startAt: InstantMs,
  scale = SMALL,
): Promise<{
  readonly installation: SimulatedInstallation;
  readonly operations: readonly RecordedOperation[];
  readonly violations: readonly Violation[];
}> {
  const operations: RecordedOperation[] = [];
  // While the ledger is away nothing is recorded; a changed backend has another revision there.
  const rates = { ...drawRates(createDraw(seed).fork("rates")), outage: 0, change: 0 };
  const options = { seed, scale, rates, startAt, operations };
  const { installation, violations } = await runHistory(options);
  return { installation, operations, violations };
}

async function compareEnds(
  name: string,
  ledger: MemoryLedger,
  database: ReplayDatabase,
): Promise<Difference | null> {
  for (const { id, parentId } of ledger.inspect.tasks()) {
    if (parentId !== null) continue;
    const [ours, theirs] = [await endOf(ledger, id), await endOf(database.broker, id)];
    const model = shapeOf("taskChain", ours);
    const postgres = shapeOf("taskChain", theirs);
    if (!isDeepStrictEqual(model, postgres)) {
      return { operation: `${name}: what became of ${id}`, model, postgres };
    }
  }
  return null;
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
