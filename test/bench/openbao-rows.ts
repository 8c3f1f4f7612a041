import { interleave, median } from "./interleave.ts";
import {
  BENCH_ROLE,
  startBenchInstallation,
  type BenchInstallation,
} from "./bench-installation.ts";
import {
  reaches,
  type BenchRow,
  type FurtherTarget,
  type RowResult,
  type Target,
} from "./bench-row.ts";
import { fewRounds, type BenchWorld } from "./bench-world.ts";
import { brokersProfile } from "./brokers-profile.ts";
import { cpuMs } from "./cpu-time.ts";
import { checkSample, driveLoad, troubles } from "./drive-load.ts";
import type { LoadResult } from "./load-job.ts";
import { findOpenBao, startOpenBao, type OpenBao } from "./openbao.ts";
import { warmUp } from "./warm-up.ts";

const SCRAM_ITERATIONS = 4096;
const FAST: Target = { ratio: 8, is: "at_least" };
const CPU_SHARE = 0.25;
const LATENCY: Target = { ratio: 0.3, is: "at_most" };

/** `scram`: both with 4096 rounds. `fast`: one round, and OpenBao without a password. */
interface Rivals extends AsyncDisposable {
  readonly mayfly: BenchInstallation;
  readonly bao: OpenBao;
}

async function rivals(
  world: BenchWorld,
  version: string,
  iterations: number,
  password: "scram" | "none",
): Promise<Rivals> {
  await using started = new AsyncDisposableStack();
  const mayfly = started.use(
    await startBenchInstallation(world, {
      // As OpenBao has it: see `BenchInstallationOptions`.
      administrator: "superuser",
      backend: { scram_iterations: iterations },
    }),
  );
  await warmUp(mayfly);
  const { server, trust } = mayfly;
  const bao = started.use(await startOpenBao(version, { server, trust, password }));
  const all = started.move();
  return { mayfly, bao, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

interface Side {
  readonly load: LoadResult;
  /** Of the service and PostgreSQL, for one exchange. */
  readonly cpuMs: number;
}

async function compared(world: BenchWorld, { mayfly, bao }: Rivals, clients: number) {
  const broken: string[] = [];
  const side = async (flow: "mayfly" | "openbao", round: number): Promise<Side> => {
    const pids =
      flow === "mayfly" ? [mayfly.broker.pid, mayfly.worker.pid, mayfly.server.pid] : [bao.pid];
    const roots = [...new Set([...pids, mayfly.server.pid])];
    const before = await cpuMs(roots);
    const load = await driveLoad({
      url: flow === "mayfly" ? mayfly.api.url : bao.url,
      flow,
      trust: mayfly.trust,
      clients,
      seconds: world.seconds,
      role: BENCH_ROLE,
      rateMax: flow === "mayfly" ? 2500 : 1000,
    });
    const cpu = (await cpuMs(roots)) - before;
    broken.push(...troubles(load).map((what) => `${flow}: ${what}`));
    world.say(`round ${round + 1}: ${flow} ${load.perSecond.toFixed(0)}/s at c=${clients}`);
    return { load, cpuMs: cpu / load.okInAll };
  };
  const measured = await interleave(
    world.rounds,
    async (round) => {
      const ours = await side("mayfly", round);
      broken.push(...(await checkSample(mayfly, ours.load)));
      return ours;
    },
    (round) => side("openbao", round),
    (ours, theirs) => ours.load.perSecond / theirs.load.perSecond,
  );
  return { ...measured, broken };
}

interface Beside {
  readonly busy: Awaited<ReturnType<typeof compared>>;
  readonly alone: Awaited<ReturnType<typeof compared>>;
}

async function beside(world: BenchWorld, both: Rivals): Promise<Beside> {
  const busy = await compared(world, both, 16);
  // A p50 of one client needs no more than half the time, nor all the rounds.
  const short = { ...world, seconds: Math.ceil(world.seconds / 2), rounds: fewRounds(world) };
  return { busy, alone: await compared(short, both, 1) };
}

async function measureScram(world: BenchWorld, version: string) {
  await using both = await rivals(world, version, SCRAM_ITERATIONS, "scram");
  const { busy, alone } = await beside(world, both);
  return { busy, alone, theirP50: median(alone.theirs.map(({ load }) => load.latencyMs.p50)) };
}

/** Two rows are about the same rounds: they are measured once in a run. */
const fast = new WeakMap<BenchWorld, Promise<Beside>>();

function measureFast(world: BenchWorld, version: string): Promise<Beside> {
  const known = fast.get(world);
  if (known !== undefined) return known;
  const measured = (async () => {
    await using both = await rivals(world, version, 1, "none");
    return await beside(world, both);
  })();
  fast.set(world, measured);
  return measured;
}

/** Of the fast mint at c=16, for who reads of a target that was missed; once in a run. */
const profiles = new WeakMap<BenchWorld, Promise<readonly string[]>>();

function fastProfile(world: BenchWorld): Promise<readonly string[]> {
  const known = profiles.get(world);
  if (known !== undefined) return known;
  const options = { administrator: "superuser", backend: { scram_iterations: 1 } } as const;
  const { seconds } = world;
  const taken = brokersProfile(world, options, ({ api, trust }) =>
    driveLoad({ url: api.url, trust, clients: 16, seconds, role: BENCH_ROLE, rateMax: 2500 }),
  );
  profiles.set(world, taken);
  return taken;
}

const rateOf = (sides: readonly Side[]): string =>
  `${median(sides.map(({ load }) => load.perSecond)).toFixed(0)}/s, p50 ` +
  `${median(sides.map(({ load }) => load.latencyMs.p50)).toFixed(1)} ms, p99 ` +
  `${median(sides.map(({ load }) => load.latencyMs.p99)).toFixed(1)} ms`;

const absent = (world: BenchWorld): null => {
  world.say("bao is not on the PATH: the rows beside OpenBao are left out");
  return null;
};

export const BESIDE_OPENBAO: BenchRow = {
  name: "openbao",
  title: "full exchange beside OpenBao, SCRAM, c=16",
  target: { ratio: 2, is: "at_least" },
  run: async (world): Promise<RowResult | null> => {
    const version = await findOpenBao();
    if (version === null) return absent(world);
    const facts = [version];
    const broken: string[] = [];
    const scram = await measureScram(world, version);
    facts.push(
      `SCRAM, c=16: Mayfly ${rateOf(scram.busy.ours)}; OpenBao ${rateOf(scram.busy.theirs)}`,
    );
    const { busy, alone } = await measureFast(world, version);
    facts.push(
      `fast mint against no password, c=16: ${busy.ratio.toFixed(2)} ×; ` +
        `Mayfly ${rateOf(busy.ours)}; OpenBao ${rateOf(busy.theirs)}`,
    );
    const p50 = median(alone.ours.map(({ load }) => load.latencyMs.p50));
    const latency = p50 / scram.theirP50;
    facts.push(
      `p50 at c=1: fast mint ${p50.toFixed(2)} ms, OpenBao with SCRAM ` +
        `${scram.theirP50.toFixed(2)} ms: ${latency.toFixed(2)} ×`,
    );
    const also: FurtherTarget[] = [
      { name: "fast mint, c=16, against a role without password", ratio: busy.ratio, target: FAST },
      { name: "fast mint, c=1, p50 against its SCRAM", ratio: latency, target: LATENCY },
    ];
    broken.push(...scram.alone.broken, ...scram.busy.broken, ...busy.broken, ...alone.broken);
    const { ratio, spread } = scram.busy;
    if (also.some((one) => !reaches(one.target, one.ratio))) {
      facts.push(...(await fastProfile(world)));
    }
    return { ratio, spread, facts, also, broken };
  },
};

export const CPU_OF_EXCHANGE: BenchRow = {
  name: "cpu",
  title: "CPU of one exchange, broker, worker and PostgreSQL, fast mint, against OpenBao's",
  target: { ratio: CPU_SHARE, is: "at_most" },
  run: async (world): Promise<RowResult | null> => {
    const version = await findOpenBao();
    if (version === null) return absent(world);
    const { busy } = await measureFast(world, version);
    const { ours, theirs, broken } = busy;
    const ratios = ours.map(({ cpuMs: own }, round) => own / (theirs[round]?.cpuMs ?? Number.NaN));
    const median_ = (sides: readonly Side[]): string =>
      median(sides.map((side) => side.cpuMs)).toFixed(3);
    const ratio = median(ratios);
    const profile = ratio > CPU_SHARE ? await fastProfile(world) : [];
    return {
      ratio,
      spread: [Math.min(...ratios), Math.max(...ratios)],
      facts: [
        `Mayfly: ${median_(ours)} ms of CPU for each exchange (broker, worker and PostgreSQL)`,
        `OpenBao, role without password: ${median_(theirs)} ms (OpenBao and PostgreSQL)`,
        ...profile,
      ],
      broken,
    };
  },
};
