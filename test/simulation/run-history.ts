import { createHash } from "node:crypto";
import { durationSeconds, parseBackendId } from "@mayfly/spec";
import { runAgent, type AgentsLog } from "./agents.ts";
import type { Defect } from "./defects.ts";
import { createDraw, type Draw } from "./draw.ts";
import { NO_FAULTS, drawRates, type FaultRates, type Strikes } from "./faults.ts";
import {
  BACKENDS,
  createInstallation,
  furnishInstallation,
  type Service,
  type SimulatedInstallation,
} from "./installation.ts";
import { lookAtRest, lookNow, watchEvents, type Violation } from "./invariants.ts";

export interface HistoryOptions {
  readonly seed: string;
  /** Default: drawn from the seed. */
  readonly rates?: FaultRates;
  readonly agents?: number;
  readonly defect?: Defect;
}

export interface History {
  readonly seed: string;
  readonly rates: FaultRates;
  readonly agents: number;
  /** Leases that were reserved: each is one lifecycle. */
  readonly lifecycles: number;
  /** Empty, or the first look that found any. */
  readonly violations: readonly Violation[];
  readonly strikes: Strikes;
  /** Of everything that happened: the same for the same seed and options. */
  readonly digest: string;
}

const BROKERS = 2;
const WORKERS = 2;
const LOOK_EVERY_STEPS = 40;
/** A history that does not come to rest by then is a defect of its own. */
const STEPS_MAX = 400_000;
/** Long enough for the longest deadline, freeze, quarantine and back-off, one after the other. */
const REST_MS = 75_000;

/** Runs one history to its end, or to its first violation. The seed alone decides what happens. */
export async function runHistory(options: HistoryOptions): Promise<History> {
  const draw = createDraw(options.seed);
  const rates = options.rates ?? drawRates(draw.fork("rates"));
  const agents = options.agents ?? draw.fork("agents").whole(1, 6);
  const installation = createInstallation(draw.fork("installation"), options.defect ?? null);
  await furnishInstallation(installation);
  const seen: AgentsLog = { delivered: [], ended: [], children: [], misled: [] };
  const violations = await live(installation, draw, rates, agents, seen);
  const events = installation.ledger.inspect.events();
  return {
    seed: options.seed,
    rates,
    agents,
    lifecycles: installation.ledger.inspect.leases().length,
    violations,
    strikes: installation.strikes,
    digest: createHash("sha256")
      .update(JSON.stringify([events, seen]))
      .digest("hex"),
  };
}

async function live(
  installation: SimulatedInstallation,
  draw: Draw,
  rates: FaultRates,
  agents: number,
  seen: AgentsLog,
): Promise<readonly Violation[]> {
  const services = await staff(installation, draw.fork("staff"));
  installation.rates = rates;
  const brokers = (): readonly Service[] => services.brokers.filter((one) => one.process.isAlive);
  const failures: unknown[] = [];
  const working = Promise.all(
    Array.from({ length: agents }, (_, index) =>
      runAgent(`bot-${index}`, draw.fork(`agent-${index}`), { installation, brokers, seen }),
    ),
  ).catch((error: unknown) => failures.push(error));
  const incident = respond(installation, draw.fork("incident"), brokers);
  const misfortune = bringMisfortune(installation, draw.fork("misfortune"), services);
  const events = watchEvents(installation);
  const watch = (): readonly Violation[] => [...lookNow(installation, seen), ...events.look()];

  const busy = await turnUntil(installation, Promise.all([working, misfortune, incident]), watch);
  if (busy.length > 0) return busy;
  if (failures.length > 0)
    return [{ invariant: 0, what: `an agent failed: ${textOf(failures[0])}` }];
  calmDown(installation);
  const resting = await turnUntil(installation, installation.clock.sleep(REST_MS), watch);
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
    const someone = await clock.advanceToNext();
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
async function staff(installation: SimulatedInstallation, draw: Draw): Promise<Staff> {
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
  for (let count = 0; count < BROKERS; count++) await again(startBroker)();
  for (let count = 0; count < WORKERS; count++) await again(() => installation.startWorker())();
  return { brokers };
}

/** What befalls servers, not processes: outages, a queue that forgets, clocks that jump. */
async function bringMisfortune(
  installation: SimulatedInstallation,
  draw: Draw,
  services: Staff,
): Promise<void> {
  const { clock, ledger, strikes, queue, away } = installation;
  for (let round = 0; round < 4; round++) {
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
      const [first, ...rest] = BACKENDS.map(({ id }) => id);
      const id = draw.of([first ?? "", ...rest]);
      away.add(id);
      await clock.sleep(draw.between(1_000, 15_000));
      away.delete(id);
    }
  }
}

/** Now and then a security team kills all tasks, or ends all leases, that a selector names. */
async function respond(
  installation: SimulatedInstallation,
  draw: Draw,
  brokers: () => readonly Service[],
): Promise<void> {
  for (let times = 2; times > 0; times--) {
    await installation.clock.sleep(draw.between(1_000, 15_000));
    const [broker] = brokers();
    if (broker === undefined || !draw.chance(installation.rates.incident)) continue;
    const bot = parseBackendId(
      draw.of(BACKENDS.map(({ id }) => id) as [string, ...string[]]),
      "id",
    );
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
