import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { startRedis } from "@mayfly/embedded";
import { createDraw, type Draw } from "../simulation/draw.ts";
import {
  startInstallation,
  startRestartable,
  until,
  type Environment,
  type Installation,
  type Restartable,
} from "../harness/index.ts";
import { live, type Phase } from "./agents.ts";
import { BROKER_BLOWS, WORKER_BLOWS, type Blow } from "./blows.ts";

export interface ChaosOptions {
  readonly kills: number;
  readonly seed: string;
  /** One line for a person who waits. */
  readonly say: (line: string) => void;
}

export interface ChaosResult {
  /** SIGKILLs that struck, whatever else befell the installation. */
  readonly kills: number;
  /** By the step after which it struck; `at random` for those of no step. */
  readonly byStep: ReadonlyMap<string, number>;
  readonly freezes: number;
  readonly disturbances: ReadonlyMap<string, number>;
  readonly leases: number;
  /** What the servers themselves showed afterwards, in words. */
  readonly leaks: readonly string[];
}

const AGENTS = 5;
/** A step that is not reached by then: the process is killed where it is. */
const UNREACHED_MS = 6_000;
const FROZEN_MS_MAX = 4_000;
const REST_MS_MAX = 180_000;
/** Kills between two disturbances of a server. */
const KILLS_PER_DISTURBANCE = 12;

/**
 * Two brokers and two workers, agents that never stop asking, and blows: each process is killed or
 * frozen at a step that its settings name, or at random, and comes back. Meanwhile servers are
 * stopped, killed and started again. Afterwards the servers are asked what is left.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const draw = createDraw(options.seed);
  await using started = new AsyncDisposableStack();
  const customer = started.use(await startRestartable());
  const ledger = started.use(await startRestartable());
  const redis = await startRedis({});
  if (redis.missing === undefined) started.use(redis);
  const queue: Environment =
    redis.missing === undefined
      ? { MAYFLY_QUEUE: "redis", MAYFLY_REDIS_URL: redis.url }
      : { MAYFLY_QUEUE: "postgres" };
  const mayfly = started.use(
    await startInstallation({
      customerServer: customer,
      ledgerServer: ledger,
      settings: { ...queue, MAYFLY_STUCK_MAX: "10000" },
    }),
  );
  const first = await mayfly.startBroker();
  await mayfly.register(first);
  const phase: Phase = { urls: new Set([first.api.url]), isOver: false };
  const score = new Score(options);
  const brokers = [0, 1].map((index) =>
    beat(mayfly, "broker", draw.fork(`broker-${index}`), phase, score),
  );
  const workers = [0, 1].map((index) =>
    beat(mayfly, "worker", draw.fork(`worker-${index}`), phase, score),
  );
  const agents = Array.from({ length: AGENTS }, (_, index) =>
    live(mayfly, draw.fork(`agent-${index}`), index, phase),
  );
  const flush = redis.missing === undefined ? flushOf(redis.url) : null;
  const misfortune = disturb({ customer, ledger, flush }, draw.fork("servers"), phase, score);
  await first.stop();
  phase.urls.delete(first.api.url);
  await until("the kills", Number.POSITIVE_INFINITY, async () => score.kills >= options.kills);
  phase.isOver = true;
  await Promise.all([...brokers, ...workers, ...agents, misfortune]);
  options.say("no more blows: what is left has to end by itself");
  const leaks = await rest(mayfly);
  const [row] = await mayfly.ledger<{ leases: number }[]>`
    SELECT count(*)::int AS leases FROM mayfly.leases`;
  return { ...score.result(), leases: row?.leases ?? 0, leaks };
}

/** What struck so far. */
class Score {
  readonly #options: ChaosOptions;
  readonly #bySteps = new Map<string, number>();
  readonly #disturbances = new Map<string, number>();
  #freezes = 0;
  kills = 0;

  constructor(options: ChaosOptions) {
    this.#options = options;
  }
  killed(step: string): void {
    this.kills++;
    this.#bySteps.set(step, (this.#bySteps.get(step) ?? 0) + 1);
    if (this.kills % 25 === 0) {
      this.#options.say(`${this.kills} of ${this.#options.kills} kills`);
    }
  }
  froze(): void {
    this.#freezes++;
  }
  disturbed(what: string): void {
    this.#disturbances.set(what, (this.#disturbances.get(what) ?? 0) + 1);
  }
  result(): Pick<ChaosResult, "kills" | "byStep" | "freezes" | "disturbances"> {
    const { kills } = this;
    return {
      kills,
      byStep: this.#bySteps,
      freezes: this.#freezes,
      disturbances: this.#disturbances,
    };
  }
}

/** One place for a process: whoever dies there is followed by a new one, with its own blow. */
async function beat(
  mayfly: Installation,
  service: "broker" | "worker",
  draw: Draw,
  phase: Phase,
  score: Score,
): Promise<void> {
  const blows = service === "broker" ? BROKER_BLOWS : WORKER_BLOWS;
  while (!phase.isOver) {
    const blow = draw.of(blows);
    const setting = `${blow.point}=${blow.how}@${draw.whole(1, blow.visitsMax)}`;
    const own: Environment = { MAYFLY_UNSAFE_FAIL_POINT: setting };
    // A start may find the ledger away: then it ends by itself, and the next one is tried.
    const started = await start(mayfly, service, own, phase).catch(() => null);
    if (started === null) {
      await sleep(200);
      continue;
    }
    await strike(started, blow, draw, phase, score);
  }
}

type Started = Awaited<ReturnType<Installation["startWorker"]>>;

async function start(
  mayfly: Installation,
  service: "broker" | "worker",
  own: Environment,
  phase: Phase,
): Promise<Started> {
  if (service === "worker") return mayfly.startWorkerAtOnce(own);
  const broker = await mayfly.startBroker(own);
  phase.urls.add(broker.api.url);
  broker.exited.then(
    () => phase.urls.delete(broker.api.url),
    () => undefined,
  );
  return broker;
}

async function strike(
  process: Started,
  blow: Blow,
  draw: Draw,
  phase: Phase,
  score: Score,
): Promise<void> {
  const giveUp = performance.now() + draw.between(UNREACHED_MS / 2, UNREACHED_MS);
  while (!process.hasEnded() && performance.now() < giveUp && !phase.isOver) {
    await sleep(20);
    if (blow.how === "stop" && (await process.isFrozen())) {
      score.froze();
      await sleep(draw.between(100, FROZEN_MS_MAX));
      process.thaw();
      break;
    }
  }
  if (process.hasEnded()) {
    const { signal } = await process.exited;
    if (signal === "SIGKILL") score.killed(blow.point);
    return;
  }
  // It goes on after a freeze for a moment, as a zombie would; then it is killed where it is.
  if (blow.how === "stop") await sleep(draw.between(50, 500));
  await process.kill();
  score.killed("at random");
}

interface Servers {
  readonly customer: Restartable;
  readonly ledger: Restartable;
  readonly flush: (() => Promise<void>) | null;
}

async function disturb(
  { customer, ledger, flush }: Servers,
  draw: Draw,
  phase: Phase,
  score: Score,
): Promise<void> {
  const restart = async (which: Restartable, name: string): Promise<void> => {
    const how = draw.of(["fast", "kill"] as const);
    await which.lose(how);
    await sleep(draw.between(0, 2_500));
    await which.start();
    score.disturbed(`${name} lost: ${how}`);
  };
  let nextAt = KILLS_PER_DISTURBANCE;
  while (!phase.isOver) {
    await sleep(100);
    if (score.kills < nextAt) continue;
    nextAt += KILLS_PER_DISTURBANCE;
    const what = draw.of(["customer", "ledger", "queue"]);
    if (what === "customer") await restart(customer, "the customer's server");
    else if (what === "ledger") await restart(ledger, "the ledger's server");
    else if (flush !== null) {
      await flush();
      score.disturbed("the queue flushed");
    }
  }
}

const flushOf = (url: string) => async (): Promise<void> => {
  const client = new Redis(url);
  await client.flushall();
  client.disconnect();
};

/** A whole broker and worker, and all that is due; then the servers are asked. */
async function rest(mayfly: Installation): Promise<readonly string[]> {
  const broker = await mayfly.startBroker();
  await mayfly.startWorker();
  const tasks = await mayfly.ledger<{ id: string }[]>`
    SELECT 'task_' || replace(id::text, '-', '') AS id FROM mayfly.tasks WHERE state = 'active'`;
  for (const { id } of tasks) await broker.api.admin("POST", `/v1/tasks/${id}/kill`, {});
  await until("every lease to end", REST_MS_MAX, async () => {
    const [row] = await mayfly.ledger<{ live: number }[]>`
      SELECT count(*)::int AS live FROM mayfly.leases WHERE state <> 'ended'`;
    return row?.live === 0;
  });
  return mayfly.findLeaks(broker);
}
