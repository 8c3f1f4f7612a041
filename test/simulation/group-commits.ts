import {
  COMMITTER_LIMITS,
  LedgerFault,
  RESERVE_BESIDES_MAX,
  createCommitter,
  knownActivation,
  type ActivateRequest,
  type BatchResult,
  type CommitterLimits,
  type Stage,
} from "@mayfly/postgres/group-commit";
import {
  BrokerError,
  type ActivateResult,
  type Claim,
  type ClaimFound,
  type ClaimOutcome,
  type Clock,
  type Denial,
  type IssueLedger,
  type Random,
  type Reservation,
  type ReserveResult,
  type SweepLedger,
  type TaskId,
  type TaskLedger,
} from "@mayfly/spec";
import type { MemoryLedger } from "@mayfly/testkit";
import type { RowLocks, ModelTransaction, Wanted } from "./row-locks.ts";

/** What a stage meets on its way to the ledger and back; in a history, faults and death. */
export interface CommitWorld {
  readonly clock: Clock;
  readonly random: Random;
  isAlive(): boolean;
  /** An await on the world. */
  pass(place: string): Promise<void>;
  /** Whether this goes wrong now; it is counted. */
  strikes(place: string, fault: CommitFault): boolean;
  /** That it did, of what comes by itself. */
  note(place: string, fault: string): void;
  /** A defect made on purpose may change what the committer is given. */
  spoil<Request, Result>(stage: Stage<Request, Result>): Stage<Request, Result>;
}

export const COMMIT_FAULTS = [
  "unreachable",
  "serialisation failure",
  "deadlock",
  "acknowledgement lost",
] as const;
export type CommitFault = (typeof COMMIT_FAULTS)[number];

/** In a task's goal: no ledger can store such a value, whatever else is in its batch. */
export const UNSTORABLE = "unstorable";

interface StageModel<Request, Result> {
  readonly name: string;
  keys(request: Request): readonly string[];
  lane?(request: Request): string;
  /** Rows that a batch skips where they are locked, and a lone request waits for. */
  rows(request: Request): Wanted;
  /** Rows that every transaction waits for. */
  waitsFor(request: Request): Wanted;
  isUnstorable(request: Request): boolean;
  write(request: Request): Promise<Result>;
}

const NOTHING: Wanted = { shared: [], alone: [] };

/** A stage of the ledger as PostgreSQL runs it, over the ledger in memory. */
function stageOf<Request, Result>(
  world: CommitWorld,
  locks: RowLocks,
  model: StageModel<Request, Result>,
): Stage<Request, Result> {
  const place = `commit.${model.name}`;
  const run = async (
    transaction: ModelTransaction,
    requests: readonly Request[],
    mode: "batch" | "alone",
  ): Promise<readonly BatchResult<Result>[]> => {
    const held = new Set<Request>();
    for (const request of requests) {
      if (mode === "alone") await locks.wait(transaction, model.rows(request));
      else if (!locks.take(transaction, model.rows(request))) continue;
      held.add(request);
    }
    for (const request of held) await locks.wait(transaction, model.waitsFor(request));
    await world.pass(`${place}, in transaction`);
    locks.hear(transaction);
    if (world.strikes(place, "serialisation failure")) throw fault("40001");
    if (world.strikes(place, "deadlock")) throw fault("40P01");
    if ([...held].some((request) => model.isUnstorable(request))) {
      world.note(place, "a value that cannot be stored");
      throw fault("22P05");
    }
    const results: BatchResult<Result>[] = [];
    for (const request of requests) {
      if (held.has(request)) results.push(await written(model, request));
      else {
        world.note(place, "locked: alone");
        results.push({ kind: "alone" });
      }
    }
    return results;
  };
  return world.spoil({
    name: model.name,
    keys: (request) => model.keys(request),
    lane: (request) => model.lane?.(request) ?? "",
    run: async (requests, mode, signal) => {
      await world.pass(`${place}, before`);
      signal.throwIfAborted();
      if (world.strikes(place, "unreachable")) throw fault("ECONNREFUSED");
      if (requests.length > 1) world.note(place, "a batch of several");
      const isAlive = (): boolean => world.isAlive();
      const transaction = { isAlive, lastHeardMs: world.clock.monotonicMs() };
      let results: readonly BatchResult<Result>[];
      try {
        results = await run(transaction, requests, mode);
      } finally {
        locks.release(transaction);
      }
      await world.pass(`${place}, after`);
      if (world.strikes(place, "acknowledgement lost")) throw fault("CONNECTION_CLOSED");
      return results;
    },
  });
}

async function written<Request, Result>(
  model: StageModel<Request, Result>,
  request: Request,
): Promise<BatchResult<Result>> {
  try {
    return { kind: "done", result: await model.write(request) };
  } catch (error) {
    if (!BrokerError.is(error)) throw error;
    // The ledger is away, for all of them alike.
    if (error.code === "ledger_unavailable") throw fault("57P03");
    return { kind: "refused", error };
  }
}

const fault = (code: string): LedgerFault => new LedgerFault(code, `simulated ${code}`, null);

/** Longest call of the ledger, in milliseconds, as the real one's connections have it. */
const CALL_MS = 12_000;

export interface CommittedPorts {
  readonly issue: Pick<IssueLedger, "reserve" | "activate" | "recordDenial">;
  readonly settle: SweepLedger["settle"];
  readonly applyEnd: TaskLedger["applyEnd"];
}

/** So few are a whole batch that two are often under way at once, as under a crowd. */
const RESERVE_LIMITS: CommitterLimits = {
  ...COMMITTER_LIMITS,
  batchMax: 3,
  besidesMax: RESERVE_BESIDES_MAX,
};

/** The real group commit of one process, in front of the model ledger. */
export function createGroupCommits(
  world: CommitWorld,
  ledger: MemoryLedger,
  locks: RowLocks,
): CommittedPorts {
  const ports = { clock: world.clock, random: world.random, callMs: CALL_MS };
  const submitTo = <Request, Result>(
    model: StageModel<Request, Result>,
    limits?: CommitterLimits,
  ) => {
    const committer = createCommitter(ports, stageOf(world, locks, model), limits);
    return (request: Request): Promise<Result> => committer.submit(request);
  };
  const reserve = submitTo<Reservation, ReserveResult>(reserveModel(ledger), RESERVE_LIMITS);
  const activate = submitTo<ActivateRequest, ActivateResult>({
    name: "activate",
    keys: ({ lease }) => [lease.id],
    rows: ({ lease }) => ({
      shared: pathOf(ledger, ledger.inspect.lease(lease.id)?.taskId ?? null),
      alone: [lease.id],
    }),
    waitsFor: () => NOTHING,
    isUnstorable: () => false,
    write: ({ lease, activation }) => ledger.issue.activate(lease, activation),
  });
  const settle = submitTo<{ claim: Claim; outcome: ClaimFound | ClaimOutcome }, boolean>({
    name: "settle",
    keys: ({ claim }) => [claim.leaseId],
    lane: ({ claim }) => claim.backendId,
    rows: () => NOTHING,
    waitsFor: ({ claim }) => ({ shared: [], alone: [claim.leaseId] }),
    isUnstorable: () => false,
    write: ({ claim, outcome }) => ledger.sweep.settle(claim, outcome),
  });
  const recordDenial = submitTo<Denial, void>({
    name: "recordDenial",
    keys: ({ tokenUse }) => (tokenUse === undefined ? [] : [tokenUse.oneTime.jti]),
    rows: () => NOTHING,
    waitsFor: () => NOTHING,
    isUnstorable: () => false,
    write: (denial) => ledger.issue.recordDenial(denial),
  });
  const known = knownActivation(activate, (request) => reread(world, ledger, request));
  return {
    issue: {
      reserve,
      activate: (lease, activation) => known({ lease, activation }),
      recordDenial,
    },
    settle: (claim, outcome) => settle({ claim, outcome }),
    applyEnd: (id) => applyEnd(world, ledger, locks, id),
  };
}

const reserveModel = (ledger: MemoryLedger): StageModel<Reservation, ReserveResult> => {
  const keysOf = ({ idempotency, oneTime }: Reservation): readonly string[] => [
    ...(idempotency === null ? [] : [`key ${idempotency.scopeSha256} ${idempotency.key}`]),
    ...(oneTime === null ? [] : [`token ${oneTime.issuer} ${oneTime.jti}`]),
  ];
  return {
    name: "reserve",
    keys: keysOf,
    rows: ({ task }) => ({
      shared: pathOf(ledger, task.kind === "existing" ? task.taskId : task.task.parentId),
      alone: [],
    }),
    waitsFor: (reservation) => ({ shared: [], alone: keysOf(reservation) }),
    isUnstorable: ({ task }) =>
      task.kind === "open" && task.task.descriptor.goal.includes(UNSTORABLE),
    write: (reservation) => ledger.issue.reserve(reservation),
  };
};

function pathOf(ledger: MemoryLedger, id: TaskId | null): readonly TaskId[] {
  const task = id === null ? null : ledger.inspect.task(id);
  return task === null ? [] : [...task.ancestors, task.id];
}

/** What became of an activation whose commit nobody heard of. */
async function reread(
  world: CommitWorld,
  ledger: MemoryLedger,
  { lease, activation }: ActivateRequest,
): Promise<ActivateResult | "unwritten"> {
  const place = "commit.reread";
  await world.pass(`${place}, before`);
  if (world.strikes(place, "unreachable")) throw fault("ECONNREFUSED");
  // As every call: it fails while the ledger is away.
  await ledger.sweep.now();
  const row = ledger.inspect.row(lease.id);
  await world.pass(`${place}, after`);
  if (row?.state === "reserved" && row.version === lease.version) return "unwritten";
  const isOurs = row !== null && !row.isUnsettled && isSame(row.sealedHandle, activation);
  if (!isOurs) return { kind: "refused" };
  return row.state === "active"
    ? { kind: "active", lease: { id: lease.id, state: "active", version: row.version } }
    : { kind: "withheld", reason: "the end was requested meanwhile" };
}

const isSame = (
  stored: Uint8Array | null,
  { sealedHandle }: ActivateRequest["activation"],
): boolean => stored !== null && Buffer.compare(stored, sealedHandle) === 0;

/** `FOR UPDATE` of the task and all below it, which waits for the exchanges that hold them. */
async function applyEnd(
  world: CommitWorld,
  ledger: MemoryLedger,
  locks: RowLocks,
  id: TaskId,
): ReturnType<TaskLedger["applyEnd"]> {
  const isAlive = (): boolean => world.isAlive();
  const transaction = { isAlive, lastHeardMs: world.clock.monotonicMs() };
  try {
    await locks.wait(transaction, { shared: [], alone: [id] });
    await world.pass("ledger.applyEnd, in transaction");
    locks.hear(transaction);
    return await ledger.tasks.applyEnd(id);
  } catch (error) {
    if (!(error instanceof LedgerFault)) throw error;
    throw new BrokerError("busy", "The task is in use by another request.", { cause: error });
  } finally {
    locks.release(transaction);
  }
}
