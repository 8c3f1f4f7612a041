import { createCore, type Core, type CorePorts } from "@mayfly/core";
import {
  durationSeconds,
  parseInstallationId,
  untraced,
  type BackendCapabilities,
  type CallContext,
  type CredentialBackend,
} from "@mayfly/spec";
import {
  FakeUpstream,
  WORLD_ISSUER,
  WORLD_TRUST,
  createFakeBackend,
  createFakeClock,
  createFakeFailPoints,
  createFakePolicyCompiler,
  createFakeSealer,
  createFakeTaskTokens,
  createFakeTrustRoots,
  createMemoryLedger,
  createRecordingLog,
  fakePolicySource,
  type FakeUpstreamOptions,
  type MemoryLedger,
  type RecordingLog,
} from "@mayfly/testkit";
import { startWorker } from "@mayfly/worker";
import type { Defect } from "./defects.ts";
import type { Draw } from "./draw.ts";
import { NO_FAULTS, Strikes } from "./faults.ts";
import { faultyBackend, faultyLedgerPort, mortalPort } from "./faulty-ports.ts";
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
    capabilities: { expiryEnforcedBy: "login_only", revocation: "immediate" },
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

/** A broker or a worker: a process, and the real core in it. */
export interface Service {
  readonly process: SimulatedProcess;
  readonly core: Core;
  readonly context: () => CallContext;
}

export interface SimulatedInstallation extends Machine {
  readonly ledger: MemoryLedger;
  readonly upstreams: ReadonlyMap<string, FakeUpstream>;
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
  claimBatch: 8,
  limits: { perTask: 50, perWorkload: 500, perRole: 1000 },
};
const ADMIN = { kind: "administrator", name: "simulation" } as const;
const ISSUE = ["readIdempotent", "reserve", "checkpoint", "activate", "abandon"] as const;
const TASKS = ["find", "heartbeat", "requestEnd", "applyEnd", "endLease"] as const;
const SWEEPS = ["dueTasks", "endStrays", "dueBackends", "claim", "settle"] as const;

/** Servers and shared state; no process runs yet. */
export function createInstallation(draw: Draw, defect: Defect | null): SimulatedInstallation {
  const clock = createFakeClock();
  const ledger = createMemoryLedger(clock);
  const log = createRecordingLog();
  const taskTokens = createFakeTaskTokens();
  const sealer = createFakeSealer();
  const machine: Machine = {
    clock,
    draw: draw.fork("machine"),
    strikes: new Strikes(),
    rates: NO_FAULTS,
    away: new Set(),
  };
  const queue = createSimulatedQueue(machine);
  const types = BACKENDS.map(({ id, capabilities, upstream: options }) => {
    const upstream = new FakeUpstream({ clock, identity: id, ...options });
    const type = createFakeBackend({
      upstream,
      type: id,
      capabilities: {
        issueCallSecondsMax: durationSeconds(TIMES.longestCallSeconds),
        ...capabilities,
      },
    });
    return { id, upstream, type };
  });
  const upstreams = new Map<string, FakeUpstream>(types.map(({ id, upstream }) => [id, upstream]));
  let started = 0;

  const portsOf = (process: SimulatedProcess): CorePorts => {
    const ports: CorePorts = {
      clock: process.clock,
      random: draw.fork(process.name).random,
      log,
      tracer: untraced,
      failPoints: createFakeFailPoints(),
      installation: parseInstallationId("simulate", "installation"),
      issueLedger: faultyLedgerPort(machine, process, ledger.issue, [
        ...ISSUE,
        "recordDenial",
        "recordRenewal",
      ]),
      taskLedger: faultyLedgerPort(machine, process, ledger.tasks, [
        ...TASKS,
        "leasesBelow",
        "lease",
      ]),
      sweepLedger: faultyLedgerPort(machine, process, ledger.sweep, [
        ...SWEEPS,
        "now",
        "adoptOrphans",
        "recordSweep",
      ]),
      selectorEnds: faultyLedgerPort(machine, process, ledger.selectorEnds, [
        ...(["request", "look", "mark", "finish", "abandoned"] as const),
        ...(["report", "liveMembers"] as const),
      ]),
      health: faultyLedgerPort(machine, process, ledger.health, ["read"]),
      catalog: faultyLedgerPort(machine, process, ledger.catalog, [
        "version",
        "snapshot",
        "backendAt",
      ]),
      sealer: mortalPort(process, "sealer", sealer, ["seal", "open"]),
      alarm: queue.alarmClock(process),
      trustRoots: createFakeTrustRoots({ issuer: WORLD_ISSUER }),
      taskTokens: mortalPort(process, "task tokens", taskTokens, ["sign", "verify"]),
      policyCompiler: createFakePolicyCompiler(),
      backendTypes: new Map(
        types.map(({ id, type, upstream }): [string, CredentialBackend] => [
          id,
          faultyBackend(machine, process, type, upstream),
        ]),
      ),
      settings: SETTINGS,
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
    upstreams,
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

/** Trust, backends, roles and policies, before anything may go wrong. */
export async function furnishInstallation(installation: SimulatedInstallation): Promise<void> {
  const { core, context } = installation.startBroker();
  const issuer = `spiffe://${WORLD_TRUST}`;
  const config = { issuer, identity_max_age_seconds: 3600 };
  const work = async (): Promise<void> => {
    await core.putTrustRoot({ trust: WORLD_TRUST, kind: "spiffe", config }, ADMIN);
    for (const { id } of BACKENDS) {
      const own = { address: `${id}.test`, password: `configured-password-of-${id}` };
      await core.registerBackend({ id, type: id, config: own }, ADMIN, context());
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
    await core.activatePolicies([fakePolicySource([{ id: "all", effect: "permit" }])], ADMIN);
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
