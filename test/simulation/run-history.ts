import { createHash } from "node:crypto";
import { durationSeconds, parseBackendId, type InstantMs } from "@mayfly/spec";
import { runAgent, type AgentsLog } from "./agents.ts";
import type { Defect } from "./defects.ts";
import { createDraw, type Draw } from "./draw.ts";
import { NO_FAULTS, drawRates, type FaultRates, type Strikes } from "./faults.ts";
import {
  createInstallation,
  furnishInstallation,
  registrationOf,
  type Service,
  type SimulatedInstallation,
} from "./installation.ts";
import type { RecordedOperation } from "./record-operations.ts";
import { lookAtRest, lookNow, watchEvents, type Violation } from "./invariants.ts";

export interface HistoryOptions {
  readonly seed: string;
  /** Default: drawn from the seed. */
  readonly rates?: FaultRates;
  readonly agents?: number;
  readonly defect?: Defect;
  /** Default: {@link LARGE}. */
  readonly scale?: Scale;
  readonly startAt?: InstantMs;
  /** Where the ledger's calls are written down. */
  readonly operations?: RecordedOperation[];
}

/** How much goes on in a history. */
export interface Scale {
  readonly brokers: number;
  readonly workers: number;
  readonly agentsMax: number;
  /** Of each agent, one after the other. */
  readonly tasksMax: number;
  /** Of each task. */
  readonly stepsMax: number;
  /** Outages, jumps, changed configurations and ends by selector, at most. */
  readonly rounds: number;
  readonly claimBatch: number;
}
export const LARGE: Scale = {
  brokers: 2,
  workers: 2,
  agentsMax: 16,
  tasksMax: 3,
  stepsMax: 5,
  rounds: 4,
  claimBatch: 8,
};
/** For histories that are to be many. */
export const SMALL: Scale = {
  brokers: 2,
  workers: 1,
  agentsMax: 2,
  tasksMax: 1,
  stepsMax: 2,
  rounds: 1,
  // More than there ever is: which of the due ones a claim leaves behind, no ledger promises.
  claimBatch: 200,
};
/** One task, perhaps with a child: for histories that are to be very many. */
export const TINY: Scale = { ...SMALL, agentsMax: 1, stepsMax: 1 };

export interface History {
  readonly seed: string;
  readonly rates: FaultRates;
  readonly agents: number;
  /** Leases that were reserved: each is one lifecycle. */
  readonly lifecycles: number;
  /** Empty, or the first look that found any. */
  readonly violations: readonly Violation[];
  readonly strikes: Strikes;
  readonly installation: SimulatedInstallation;
  /** Of everything that happened: the same for the same seed and options. */
  digest(): string;
}

const LOOK_EVERY_STEPS = 40;
/** A history that does not come to rest by then is a defect of its own. */
const STEPS_MAX = 400_000;
/**
 * Long enough for the longest freeze, the longest deadline of a task that is opened after it,
 * quarantine and back-off, one after the other.
 */
const REST_MS_MAX = 200_000;
/** After all has ended: what was on the wire arrives, and a sweep and a listing pass. */
const STILL_MS = 9_000;
const LOOK_MS = 1_000;

/** Runs one history to its end, or to its first violation. The seed alone decides what happens. */
export async function runHistory(options: HistoryOptions): Promise<History> {
  const draw = createDraw(options.seed);
  const scale = options.scale ?? LARGE;
  const rates = options.rates ?? drawRates(draw.fork("rates"));
  const agents = options.agents ?? agentsOf(draw.fork("agents"), scale);
  const installation = createInstallation(draw.fork("installation"), {
    ...options,
    claimBatch: scale.claimBatch,
  });
  await furnishInstallation(installation);
  const seen: AgentsLog = { delivered: [], ended: [], children: [], misled: [] };
  const violations = await live(installation, draw, { rates, agents, scale }, seen);
  const events = installation.ledger.inspect.events();
  return {
    seed: options.seed,
    rates,
    agents,
    lifecycles: installation.ledger.inspect.leases().length,
    violations,
    strikes: installation.strikes,
    installation,
    digest: () =>
      createHash("sha256")
        .update(JSON.stringify([events, seen]))
        .digest("hex"),
  };
}

const agentsOf = (draw: Draw, { agentsMax }: Scale): number =>
  Math.min(agentsMax, draw.of([1, 2, 3, 5, 8, 12, 16]));

async function live(
  installation: SimulatedInstallation,
  draw: Draw,
  { rates, agents, scale }: Required<Pick<HistoryOptions, "rates" | "agents" | "scale">>,
  seen: AgentsLog,
): Promise<readonly Violation[]> {
  const services = await staff(installation, draw.fork("staff"), scale);
  installation.rates = rates;
  const brokers = (): readonly Service[] => services.brokers.filter((one) => one.process.isAlive);
  const failures: unknown[] = [];
  const working = Promise.all(
    Array.from({ length: agents }, (_, index) =>
      runAgent(`bot-${index}`, draw.fork(`agent-${index}`), { installation, brokers, seen, scale }),
    ),
  ).catch((error: unknown) => failures.push(error));
  const incident = respond(installation, draw.fork("incident"), brokers, scale.rounds);
  const changes = reconfigure(installation, draw.fork("reconfigure"), brokers, scale.rounds);
  const misfortune = bringMisfortune(installation, draw.fork("misfortune"), services, scale.rounds);
  const events = watchEvents(installation);
  const watch = (): readonly Violation[] => [...lookNow(installation, seen), ...events.look()];

  const busy = await turnUntil(
    installation,
    Promise.all([working, misfortune, incident, changes]),
    watch,
  );
  if (busy.length > 0) return busy;
  if (failures.length > 0)
    return [{ invariant: 0, what: `an agent failed: ${textOf(failures[0])}` }];
  calmDown(installation);
  const resting = await turnUntil(installation, comeToRest(installation), watch);
  if (resting.length > 0) return resting;
  const unfinished = installation.ledger.selectorEnds.abandoned(durationSeconds(0), 100);
  const forgotten: Violation[] = [];
  await turnUntil(
    installation,
    unfinished.then((ends) => {
      for (const { id } of ends) {
        forgotten.push({ invariant: 10, what: `the end by selector ${id} was never finished` });
      }
    }),
    () => [],
  );
  return [...lookAtRest(installation, seen), ...events.lookAtAll(), ...forgotten];
}

/** Until everything has ended, nobody is frozen, and it stayed so; or for ever too long. */
async function comeToRest(installation: SimulatedInstallation): Promise<void> {
  const { clock, ledger, upstreams } = installation;
  const isQuiet = (): boolean => {
    const open = ledger.inspect.open();
    return (
      open.leases + open.tasks + open.selectorEnds === 0 &&
      installation.awakeBy <= clock.now() &&
      [...upstreams.values()].every((upstream) => upstream.live().length === 0)
    );
  };
  const untilMs = clock.monotonicMs() + REST_MS_MAX;
  // Who wakes from a freeze may begin something anew: it has to stay quiet.
  let quietMs = 0;
  while (quietMs < STILL_MS && clock.monotonicMs() < untilMs) {
    await clock.sleep(LOOK_MS);
    quietMs = isQuiet() ? quietMs + LOOK_MS : 0;
  }
}

const textOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

/** Lets what is due happen, one thing at a time, until `done`, and looks every so often. */
async function turnUntil(
  { clock }: SimulatedInstallation,
  done: Promise<unknown>,
  watch: () => readonly Violation[],
): Promise<readonly Violation[]> {
  let isDone = false;
  done.then(
    () => (isDone = true),
    () => (isDone = true),
  );
  for (let step = 1; !isDone; step++) {
    const someone = await clock.advanceToNext(step > 1);
    if (!someone) return [{ invariant: 0, what: "everything waits for ever" }];
    if (step > STEPS_MAX) return [{ invariant: 0, what: "the history does not come to rest" }];
    if (step % LOOK_EVERY_STEPS !== 0) continue;
    const found = watch();
    if (found.length > 0) return found;
  }
  return watch();
}

interface Staff {
  readonly brokers: Service[];
}

/** Two of each, for ever: whoever dies comes back as a new process after a while. */
async function staff(
  installation: SimulatedInstallation,
  draw: Draw,
  { brokers: brokersMax, workers: workersMax }: Scale,
): Promise<Staff> {
  const brokers: Service[] = [];
  const again = (start: () => Promise<Service>) => async (): Promise<void> => {
    const service = await start();
    service.process.onDeath(() => {
      const pauseMs = installation.rates.kill > 0 ? draw.between(10, 8_000) : 10;
      installation.clock.sleep(pauseMs).then(again(start), () => undefined);
    });
  };
  const startBroker = async (): Promise<Service> => {
    const broker = installation.startBroker();
    brokers.push(broker);
    return broker;
  };
  for (let count = 0; count < brokersMax; count++) await again(startBroker)();
  for (let count = 0; count < workersMax; count++) await again(() => installation.startWorker())();
  return { brokers };
}

/** What befalls servers, not processes: outages, a queue that forgets, clocks that jump. */
async function bringMisfortune(
  installation: SimulatedInstallation,
  draw: Draw,
  services: Staff,
  rounds: number,
): Promise<void> {
  const { clock, ledger, strikes, queue, away } = installation;
  for (let round = 0; round < rounds; round++) {
    await clock.sleep(draw.between(500, 12_000));
    if (draw.chance(installation.rates.jump)) {
      for (const { process } of services.brokers) process.jump();
      strikes.add("clock", "jump");
    }
    if (!draw.chance(installation.rates.outage)) continue;
    const what = draw.of(["ledger away", "backend away", "queue forgets"]);
    strikes.add("server", what);
    if (what === "queue forgets") queue.loseAll();
    if (what === "ledger away") {
      ledger.faults.goDown();
      await clock.sleep(draw.between(200, 8_000));
      ledger.faults.heal();
    }
    if (what === "backend away") {
      const id = draw.of(installation.backends);
      away.add(id);
      await clock.sleep(draw.between(1_000, 15_000));
      away.delete(id);
    }
  }
}

/** Now and then an administrator changes the configuration of a backend under its leases. */
async function reconfigure(
  installation: SimulatedInstallation,
  draw: Draw,
  brokers: () => readonly Service[],
  rounds: number,
): Promise<void> {
  for (let change = 1; change <= rounds / 2; change++) {
    await installation.clock.sleep(draw.between(1_000, 20_000));
    const [broker] = brokers();
    if (broker === undefined || !draw.chance(installation.rates.change)) continue;
    const id = draw.of(installation.backends);
    installation.strikes.add("administrator", "backend reconfigured");
    const by = { kind: "administrator", name: "simulation" } as const;
    broker.core
      .registerBackend(registrationOf(id, change), by, broker.context())
      .catch(() => undefined);
  }
}

/** Now and then a security team kills all tasks, or ends all leases, that a selector names. */
async function respond(
  installation: SimulatedInstallation,
  draw: Draw,
  brokers: () => readonly Service[],
  rounds: number,
): Promise<void> {
  for (let times = Math.ceil(rounds / 2); times > 0; times--) {
    await installation.clock.sleep(draw.between(1_000, 15_000));
    const [broker] = brokers();
    if (broker === undefined || !draw.chance(installation.rates.incident)) continue;
    const bot = parseBackendId(draw.of(installation.backends), "id");
    const selector = draw.chance(0.5)
      ? { workload: `spiffe://acme.test/agent/bot-${draw.whole(0, 3)}` }
      : { backendId: bot };
    installation.strikes.add("administrator", "end by selector");
    const ended = broker.core.endBySelector(
      {
        target: draw.of(["leases", "tasks"]),
        selector,
        by: { kind: "administrator", name: "simulation" },
        decisionId: null,
        reason: "an incident",
        expectDigest: null,
        lookSeconds: durationSeconds(draw.of([0, 5])),
        waitSeconds: draw.of([0, 5]),
        limit: 100,
      },
      broker.context(),
    );
    // Whoever asked may be gone before the answer; a request that was durable goes on.
    ended.catch(() => undefined);
  }
}

function calmDown(installation: SimulatedInstallation): void {
  installation.rates = NO_FAULTS;
  installation.ledger.faults.heal();
  installation.away.clear();
}
