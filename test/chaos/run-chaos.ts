import { setTimeout as sleep } from "node:timers/promises";
import { startTcpFaultProxy } from "@mayfly/testkit";
import { createDraw, type Draw } from "../simulation/draw.ts";
import {
  accepted,
  BRIEF_ISSUE,
  bundlePrograms,
  POOL,
  registerPool,
  startInstallation,
  startRestartable,
  until,
  type Environment,
  type Installation,
  type Leak,
  type RunningBroker,
} from "../harness/index.ts";
import { BRIEF, BRIEF_ROLE, live, operate } from "./agents.ts";
import { keepMigrating } from "./migrations.ts";
import { misfortunes, startRestartableRedis, type Servers } from "./misfortunes.ts";
import { keep } from "./places.ts";
import { Score } from "./score.ts";
import type { Finding, Stage } from "./stage.ts";

export interface ChaosOptions {
  readonly kills: number;
  readonly seed: string;
  /** One line for a person who waits. */
  readonly say: (line: string) => void;
  /** Aborted: it is enough, whatever the number; the servers are asked all the same. */
  readonly enough?: AbortSignal;
}

export interface ChaosResult {
  /** SIGKILLs between two durable steps. */
  readonly kills: number;
  readonly randomKills: number;
  /** By victim and by the step after which it struck. */
  readonly byStep: ReadonlyMap<string, number>;
  readonly stops: ReadonlyMap<string, number>;
  readonly misfortunes: ReadonlyMap<string, number>;
  /** What the ledger says that was done meanwhile. */
  readonly done: ReadonlyMap<string, number>;
  /** What the servers themselves showed, meanwhile and afterwards. */
  readonly findings: readonly Finding[];
}

const BROKERS = 3;
const WORKERS = 2;
const AGENTS = 6;
/** Kills between two misfortunes: few in a short run, so that it has some too. */
const KILLS_BETWEEN = { min: 4, max: 12, share: 1 / 60 };
const PATROL_MS = 2_000;
/** What was due when all was quiet has to be gone by then: a bound for a hang, on any machine. */
const CALM_MS_MAX = 120_000;
const REST_MS_MAX = 400_000;
/** A slot has one tenant in ten seconds at most: some find none free, and each is used again. */
const SLOTS = 8;
/** Of all processes together: less than they ask for at times. */
const LIMITS = { per_second: 10, burst: 6 };
/** No bound of the run's own: what is slow must not fail, and whoever waits can end it. */
const KILLS_MS_MAX = Number.POSITIVE_INFINITY;

const SETTINGS: Environment = {
  MAYFLY_STUCK_MAX: "100000",
  MAYFLY_LIVE_LEASES_MAX_PER_TASK: "10000",
  MAYFLY_LIVE_LEASES_MAX_PER_WORKLOAD: "10000",
  MAYFLY_LIVE_LEASES_MAX_PER_ROLE: "100000",
};

/**
 * Brokers, workers and migrators of real processes, agents that never stop asking, and blows: each
 * process is killed, and perhaps frozen before, at a step that its settings name, and another one
 * comes. Meanwhile servers and connections fail. Throughout and afterwards the servers themselves
 * are asked what is there.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const draw = createDraw(options.seed);
  await using started = new AsyncDisposableStack();
  const servers = await startServers(started);
  const { ledger, customer, redis, proxies } = servers;
  const queue: Environment =
    redis === null || proxies.redis === null
      ? { MAYFLY_QUEUE: "postgres" }
      : { MAYFLY_QUEUE: "redis", MAYFLY_REDIS_URL: moved(redis.url, proxies.redis.port) };
  const programs = await bundlePrograms(started, { hasPooledType: true });
  const mayfly = started.use(
    await startInstallation({
      customerServer: customer,
      ledgerServer: ledger,
      ports: { ledger: proxies.ledger.port, customer: proxies.customer.port },
      settings: { ...queue, ...BRIEF_ISSUE, ...SETTINGS },
      programs,
    }),
  );
  const stage: Stage = {
    mayfly,
    programs,
    score: new Score(options.kills, options.say),
    brokers: new Map(),
    findings: new Map(),
    isOver: false,
  };
  await register(stage, servers);
  await play(stage, servers, draw, options);
  options.say("no more blows: what is left has to end by itself");
  await rest(stage);
  const { kills, randomKills, byStep, stops } = stage.score;
  const done = await whatWasDone(stage);
  const findings = [...stage.findings.values()];
  const { misfortunes: befallen } = stage.score;
  return { kills, randomKills, byStep, stops, misfortunes: befallen, done, findings };
}

async function startServers(started: AsyncDisposableStack): Promise<Servers> {
  const customer = started.use(await startRestartable());
  const ledger = started.use(await startRestartable());
  const redis = await startRestartableRedis();
  if (redis !== null) started.use(redis);
  const proxied = async (port: number) => {
    const proxy = await startTcpFaultProxy({ host: "127.0.0.1", port });
    started.defer(() => proxy.stop());
    return proxy;
  };
  return {
    customer,
    ledger,
    redis,
    proxies: {
      customer: await proxied(customer.port),
      ledger: await proxied(ledger.port),
      redis: redis === null ? null : await proxied(redis.port),
    },
  };
}

function moved(url: string, port: number): string {
  const other = new URL(url);
  other.port = String(port);
  return other.href;
}

/** By a broker and a worker that are stopped, not killed: what they compiled is kept. */
async function register({ mayfly }: Stage, { proxies }: Servers): Promise<void> {
  const [broker, worker] = await Promise.all([mayfly.startBroker(), mayfly.startWorker()]);
  await mayfly.register(broker);
  accepted(await broker.api.admin("PUT", `/v1/roles/${BRIEF}`, BRIEF_ROLE), BRIEF);
  const { port } = proxies.customer;
  await registerPool(mayfly, broker.api, { slots: SLOTS, limits: LIMITS, port });
  await Promise.all([broker.stop(), worker.stop()]);
}

async function play(
  stage: Stage,
  servers: Servers,
  draw: Draw,
  { kills, enough }: ChaosOptions,
): Promise<void> {
  const times = <T>(count: number, make: (index: number) => T): readonly T[] =>
    Array.from({ length: count }, (_, index) => make(index));
  const { min, max, share } = KILLS_BETWEEN;
  const between = Math.round(Math.min(max, Math.max(min, kills * share)));
  const parts = [
    ...times(BROKERS, (n) => keep(stage, "broker", draw.fork(`broker-${n}`))),
    ...times(WORKERS, (n) => keep(stage, "worker", draw.fork(`worker-${n}`))),
    ...times(AGENTS, (n) => live(stage, draw.fork(`agent-${n}`), n)),
    operate(stage, draw.fork("operator")),
    keepMigrating(stage, servers.ledger, servers.proxies.ledger.port, draw.fork("migrator")),
    misfortunes(stage, servers, draw.fork("misfortunes"), between),
    patrol(stage),
  ];
  const reached = until("the kills", KILLS_MS_MAX, async () => {
    return stage.score.isReached || enough?.aborted === true;
  });
  try {
    // Of the parts none ends before all is over, unless it fails.
    await Promise.race([reached, Promise.all(parts)]);
  } finally {
    stage.isOver = true;
    await Promise.allSettled(parts);
  }
  await Promise.all(parts);
}

/** Asks the servers all along: a role without a live lease must not be there at any time. */
async function patrol(stage: Stage): Promise<void> {
  while (!stage.isOver) {
    await sleep(PATROL_MS);
    // While a server is away nobody can say; what is late then is looked at when all is quiet.
    const strays = await everyStray(stage.mayfly).catch(() => []);
    record(
      stage,
      strays.filter(({ kind }) => kind !== "live_expired"),
    );
  }
}

const everyStray = async (mayfly: Installation): Promise<readonly Leak[]> => [
  ...(await mayfly.strayRoles()),
  ...(await mayfly.strayTenants()),
];

function record(stage: Stage, found: readonly Finding[]): void {
  for (const one of found) stage.findings.set(one.words, one);
}

/** A whole broker and worker, and all that is due; then the servers are asked. */
async function rest(stage: Stage): Promise<void> {
  const { mayfly } = stage;
  const broker = await mayfly.startBroker();
  await mayfly.startWorker();
  await killAll(stage, broker);
  record(stage, await straysWhenCalm(mayfly));
  await until("every lease to end", REST_MS_MAX, async () => {
    const [row] = await mayfly.ledger<{ live: number }[]>`
      SELECT count(*)::int AS live FROM mayfly.leases WHERE state <> 'ended'`;
    return row?.live === 0;
  });
  record(stage, await mayfly.lookForLeaks(broker));
  record(stage, await mayfly.strayTenants());
}

/** What still strays when there was time enough for a whole broker and worker. */
async function straysWhenCalm(mayfly: Installation): Promise<readonly Leak[]> {
  const giveUp = performance.now() + CALM_MS_MAX;
  for (;;) {
    const strays = await everyStray(mayfly);
    const lateOnly = strays.every(({ kind }) => kind === "live_expired");
    if (strays.length === 0 || !lateOnly || performance.now() > giveUp) return strays;
    await sleep(PATROL_MS);
  }
}

async function killAll({ mayfly }: Stage, { api }: RunningBroker): Promise<void> {
  const tasks = await mayfly.ledger<{ id: string }[]>`
    SELECT 'task_' || replace(id::text, '-', '') AS id FROM mayfly.tasks WHERE state = 'active'`;
  for (const { id } of tasks) await api.admin("POST", `/v1/tasks/${id}/kill`, {});
}

async function whatWasDone({ mayfly }: Stage): Promise<ReadonlyMap<string, number>> {
  const [row] = await mayfly.ledger<Record<string, number>[]>`
    SELECT (SELECT count(*)::int FROM mayfly.leases) AS leases,
      (SELECT count(*)::int FROM mayfly.leases WHERE backend_id = ${POOL}) AS "leases of the pool",
      (SELECT count(*)::int FROM mayfly.events WHERE kind = 'lease.slot_taken') AS tenancies,
      (SELECT count(*)::int FROM mayfly.backend_slots WHERE backend_id = ${POOL}) AS slots,
      (SELECT count(*)::int FROM mayfly.tasks) AS tasks,
      (SELECT count(*)::int FROM mayfly.events WHERE kind = 'lease.renewed') AS renewals,
      (SELECT count(*)::int FROM mayfly.leases WHERE work = 'recover') AS recovered,
      (SELECT count(*)::int FROM mayfly.selector_ends) AS "ends by selector",
      (SELECT count(*)::int FROM mayfly.events) AS events`;
  return new Map(Object.entries(row ?? {}));
}
