import { UNWATCHED_LIMITS, withLimits } from "@mayfly/backend-kit";
import { createCore, type Core, type CorePorts } from "@mayfly/core";
import {
  durationSeconds,
  instantMs,
  parseInstallationId,
  untraced,
  type BackendCapabilities,
  type CallContext,
  type CredentialBackend,
  type InstantMs,
  type Random,
} from "@mayfly/spec";
import {
  FakeUpstream,
  WORLD_ISSUER,
  WORLD_TRUST,
  createFakeBackend,
  createFakeClock,
  createFakeFailPoints,
  createFakePolicyCompiler,
  noBackendKeys,
  noOutboundApis,
  createFakeSealer,
  createFakeTaskTokens,
  createFakeTrustRoots,
  createMemoryLedger,
  createRecordingLog,
  fakePolicySource,
  type FakeClock,
  type FakeUpstreamOptions,
  type MemoryLedger,
  type RecordingLog,
} from "@mayfly/testkit";
import { startWorker } from "@mayfly/worker";
import type { Defect } from "./defects.ts";
import type { Draw } from "./draw.ts";
import { NO_FAULTS, Strikes } from "./faults.ts";
import { BATCHING, createBatchedMints } from "./batched-mints.ts";
import { createGroupCommits, type CommitWorld } from "./group-commits.ts";
import { RowLocks } from "./row-locks.ts";
import { faultyBackend, faultyLedgerPort, mortalPort } from "./faulty-ports.ts";
import { recordOperations, type RecordedOperation } from "./record-operations.ts";
import { BUDGET_CALLS, LEDGER_CALLS, MORTAL_CALLS, drawFocus, oftenAt } from "./places.ts";
import { POOL, POOL_SLOTS, POOL_TOKEN_SECONDS, createPooledSlots } from "./pooled-slots.ts";
import { SLOT_CALLS } from "./pool-faults.ts";
import { SlotServer } from "./slot-server.ts";
import { SimulatedProcess, type Machine } from "./simulated-process.ts";
import { createSimulatedQueue, type SimulatedQueue } from "./simulated-queue.ts";

/** The times of a simulated installation, in seconds. */
export const TIMES = {
  issueSeconds: 2,
  clockSkewSecondsMax: 1,
  // Shorter than a late mint may take: nothing but `settleBy` may keep `recover` safe.
  quarantineSeconds: 0.5,
  sweepIntervalSeconds: 2,
  listingIntervalSeconds: 5,
  claimSeconds: 5,
  retryBaseSeconds: 0.5,
  retrySecondsMax: 4,
  longestCallSeconds: 2,
  propagationSeconds: 6,
} as const;

/** A backend of each kind of revocation that there is. */
export const BACKENDS = [
  {
    id: "session-db",
    capabilities: { expiryEnforcedBy: "login_only", revocation: "immediate", endsTogether: true },
    upstream: { refusesExpired: false },
  },
  {
    id: "cloud",
    capabilities: { expiryEnforcedBy: "broker", revocation: "propagating" },
    upstream: {
      refusesExpired: false,
      propagationSeconds: TIMES.propagationSeconds,
      testsDeadline: false,
    },
  },
  {
    id: "tokens",
    capabilities: {
      expiryEnforcedBy: "upstream",
      revocation: "none",
      canRenew: false,
      canList: false,
    },
    upstream: {},
  },
] as const satisfies readonly {
  readonly id: string;
  readonly capabilities: Partial<BackendCapabilities>;
  readonly upstream: Omit<FakeUpstreamOptions, "clock">;
}[];

/**
 * All processes share the rate of this one, and ask the ledger for it: before a mint is sent, and
 * between the revoke and the probe of an end. A 429 that one of them meets pauses it for all.
 */
const RATED = "cloud";
const LIMITS = { limits: { per_second: 50, burst: 20 } };

const backendIds = [
  ...(BACKENDS.map(({ id }) => id) as unknown as readonly [string, ...string[]]),
  POOL,
] as const;

/** A broker or a worker: a process, and the real core in it. */
export interface Service {
  readonly process: SimulatedProcess;
  readonly core: Core;
  readonly context: () => CallContext;
}

export interface SimulatedInstallation extends Machine {
  readonly ledger: MemoryLedger;
  readonly backends: readonly [string, ...string[]];
  readonly upstreams: ReadonlyMap<string, FakeUpstream>;
  /** Of the backend whose principals are used again. */
  readonly slotServer: SlotServer;
  readonly queue: SimulatedQueue;
  readonly log: RecordingLog;
  /** Started anew in the place of one that died, or beside the others. */
  startBroker(): Service;
  startWorker(): Promise<Service>;
}

const SETTINGS = {
  issuer: WORLD_ISSUER,
  ...TIMES,
  attemptsUntilStuck: 3,
  stuckMax: 50,
  taskDepthMax: 3,
  taskSecondsMax: 3600,
  taskTokenSecondsMax: 600,
  passConcurrency: 4,
  limits: { perTask: 50, perWorkload: 500, perRole: 1000 },
  workloadPace: { perSecond: 0, atOnce: 1_000 },
};
const ADMIN = { kind: "administrator", name: "simulation" } as const;

/** What the group commit of a process meets on its way. */
const commitWorld = (
  machine: Machine,
  process: SimulatedProcess,
  random: Random,
  defect: Defect | null,
): CommitWorld => ({
  clock: process.clock,
  random,
  isAlive: () => process.isAlive,
  pass: (place) => process.pass(place),
  strikes: (place, fault) => {
    const strikes = machine.draw.chance((machine.rates.ledger / 2) * oftenAt(machine.focus, place));
    if (strikes) machine.strikes.add(place, fault);
    return strikes;
  },
  note: (place, fault) => machine.strikes.add(place, fault),
  spoil: (stage) => defect?.spoilStage?.(stage) ?? stage,
});

export interface InstallationOptions {
  readonly defect?: Defect | null;
  /** Default: that of a fake clock. */
  readonly startAt?: InstantMs;
  readonly claimBatch?: number;
  /** Where the ledger's calls are written down. */
  readonly operations?: RecordedOperation[];
}

/** A ledger keeps no less than a millisecond: nothing happens between two of them. */
const wholeMilliseconds = (clock: FakeClock): FakeClock => ({
  ...clock,
  sleep: (ms, signal) => clock.sleep(Math.ceil(ms), signal),
});

const createSlotServer = (clock: FakeClock, draw: Draw): SlotServer =>
  new SlotServer({
    clock,
    identity: POOL,
    compares: draw.chance(0.5),
    tokenMs: POOL_TOKEN_SECONDS * 1_000,
  });

interface SimulatedType {
  readonly id: string;
  readonly upstream: FakeUpstream;
  readonly type: (process: SimulatedProcess) => CredentialBackend;
}

const pooledType = (machine: Machine, upstream: SlotServer): SimulatedType => ({
  id: POOL,
  upstream,
  type: (process: SimulatedProcess): CredentialBackend =>
    createPooledSlots(machine, process, upstream, TIMES.longestCallSeconds),
});

/** The types as each process has them, over servers that all share. */
function typesOf(machine: Machine, slotServer: SlotServer): readonly SimulatedType[] {
  const own = BACKENDS.map<SimulatedType>(({ id, capabilities, upstream: options }) => {
    const upstream = new FakeUpstream({ clock: machine.clock, identity: id, ...options });
    const type = (process: SimulatedProcess): CredentialBackend =>
      createFakeBackend({
        upstream,
        type: id,
        capabilities: {
          issueCallSecondsMax: durationSeconds(TIMES.longestCallSeconds),
          ...capabilities,
        },
        ...(id === BATCHING ? { mint: createBatchedMints(machine, process, upstream) } : {}),
      });
    return { id, upstream, type };
  });
  return [...own, pooledType(machine, slotServer)];
}

/** Servers and shared state; no process runs yet. */
export function createInstallation(
  draw: Draw,
  { defect = null, startAt, claimBatch = 8, operations }: InstallationOptions = {},
): SimulatedInstallation {
  const clock = wholeMilliseconds(createFakeClock(startAt));
  const bare = createMemoryLedger(clock);
  const ledger = operations === undefined ? bare : recordOperations(bare, clock, operations);
  const log = createRecordingLog();
  const taskTokens = createFakeTaskTokens();
  const sealer = createFakeSealer();
  const machine: Machine = {
    clock,
    draw: draw.fork("machine"),
    strikes: new Strikes(),
    rates: NO_FAULTS,
    focus: drawFocus(draw.fork("focus")),
    away: new Set(),
    awakeBy: instantMs(0),
  };
  const locks = new RowLocks(clock);
  const queue = createSimulatedQueue(machine);
  const slotServer = createSlotServer(clock, draw.fork("pool"));
  const types = typesOf(machine, slotServer);
  const upstreams = new Map<string, FakeUpstream>(types.map(({ id, upstream }) => [id, upstream]));
  let started = 0;

  const portsOf = (process: SimulatedProcess): CorePorts => {
    const { random } = draw.fork(process.name);
    const through = <Port extends object>(
      port: Port,
      calls: readonly (keyof Port & string)[],
    ): Port => faultyLedgerPort(machine, process, port, calls);
    const world = commitWorld(machine, process, random, defect);
    const commits = createGroupCommits(world, ledger, locks);
    const ports: CorePorts = {
      clock: process.clock,
      random,
      log,
      tracer: untraced,
      failPoints: createFakeFailPoints(),
      installation: parseInstallationId("simulate", "installation"),
      issueLedger: through({ ...ledger.issue, ...commits.issue }, LEDGER_CALLS.issueLedger),
      taskLedger: through({ ...ledger.tasks, applyEnd: commits.applyEnd }, LEDGER_CALLS.taskLedger),
      sweepLedger: through({ ...ledger.sweep, settle: commits.settle }, LEDGER_CALLS.sweepLedger),
      selectorEnds: through(ledger.selectorEnds, LEDGER_CALLS.selectorEnds),
      health: through(ledger.health, LEDGER_CALLS.health),
      catalog: through(ledger.catalog, LEDGER_CALLS.catalog),
      sealer: mortalPort(process, "sealer", sealer, MORTAL_CALLS.sealer),
      alarm: queue.alarmClock(process),
      trustRoots: createFakeTrustRoots({ issuer: WORLD_ISSUER }),
      taskTokens: mortalPort(process, "taskTokens", taskTokens, MORTAL_CALLS.taskTokens),
      apis: noOutboundApis,
      backendKeys: () => noBackendKeys,
      backendBudget: (id) => through(ledger.backendBudgets.of(id), BUDGET_CALLS),
      backendNames: (id) => ledger.backendNames.of(id),
      backendSlots: (id) =>
        faultyLedgerPort(machine, process, ledger.backendSlots.of(id), SLOT_CALLS, "slots"),
      policyCompiler: createFakePolicyCompiler(),
      backendTypes: new Map(
        types.map(({ id, type, upstream }): [string, CredentialBackend] => [
          id,
          withLimits(faultyBackend(machine, process, type(process), upstream), UNWATCHED_LIMITS),
        ]),
      ),
      settings: { ...SETTINGS, claimBatch },
    };
    return defect === null ? ports : defect.spoil(ports, { machine, ledger, upstreams });
  };
  const start = (kind: string): Service => {
    const process = new SimulatedProcess(`${kind}-${++started}`, machine);
    const core = createCore(portsOf(process));
    const context = (): CallContext => ({
      clock: process.clock,
      signal: new AbortController().signal,
      traceId: "simulated",
    });
    return { process, core, context };
  };
  // A view over the machine, whose rates change during the run.
  return Object.assign(machine, {
    ledger,
    backends: backendIds,
    upstreams,
    slotServer,
    queue,
    log,
    startBroker: () => start("broker"),
    startWorker: async () => {
      const service = start("worker");
      await startWorker({
        core: service.core,
        listener: queue.listener(service.process),
        sequencer: ledger.sequencer,
        clock: service.process.clock,
        random: draw.fork(`${service.process.name}/loops`).random,
        log,
        tracer: untraced,
        settings: TIMES,
      });
      return service;
    },
  });
}

/** Whoever this is may have all but this. */
export const FORBIDDEN = {
  workload: `spiffe://${WORLD_TRUST}/agent/bot-1`,
  role: "cloud/narrow",
} as const;
const POLICIES = fakePolicySource([
  { id: "all", effect: "permit" },
  { id: "not-this", effect: "forbid", ...FORBIDDEN },
]);

/** Each `change` makes a revision of its own: leases of the one before are ended by that one's. */
export const registrationOf = (id: string, change: number) => ({
  id,
  type: id,
  config: {
    address: `${id}.test`,
    password: `configured-password-${change}-of-${id}`,
    ...(id === RATED ? LIMITS : {}),
    ...(id === POOL ? { slots: [...POOL_SLOTS] } : {}),
  },
});

/** Trust, backends, roles and policies, before anything may go wrong. */
export async function furnishInstallation(installation: SimulatedInstallation): Promise<void> {
  const { core, context } = installation.startBroker();
  const issuer = `spiffe://${WORLD_TRUST}`;
  const config = { issuer, identity_max_age_seconds: 3600 };
  const work = async (): Promise<void> => {
    await core.putTrustRoot({ trust: WORLD_TRUST, kind: "spiffe", config }, ADMIN);
    for (const id of installation.backends) {
      await core.registerBackend(registrationOf(id, 0), ADMIN, context());
      const facts = {
        ttl_max: "30s",
        data_class: "internal",
        reversibility: "read_only",
        environment: "test",
      };
      const wide = { role: `${id}/wide`, ...facts, groups: ["read", "write"] };
      await core.putRole(wide, ADMIN, context());
      const narrow = { role: `${id}/narrow`, ...facts, groups: ["read"], connections: 2 };
      await core.putRole(narrow, ADMIN, context());
    }
    await core.activatePolicies([POLICIES], ADMIN);
    await core.sweep(context());
  };
  let isDone = false;
  const working = work().finally(() => {
    isDone = true;
  });
  working.catch(() => undefined);
  while (!isDone) await installation.clock.advanceToNext();
  await working;
}
