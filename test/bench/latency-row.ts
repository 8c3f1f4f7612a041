import { interleave, median } from "./interleave.ts";
import {
  BENCH_ROLE,
  startBenchInstallation,
  type BenchInstallation,
  type BenchInstallationOptions,
} from "./bench-installation.ts";
import type { BenchRow, FurtherTarget, RowResult } from "./bench-row.ts";
import { fewRounds, type BenchWorld } from "./bench-world.ts";
import { brokersProfile } from "./brokers-profile.ts";
import { checkSample, driveLoad, troubles } from "./drive-load.ts";
import type { LoadResult } from "./load-job.ts";
import { findPgbench } from "./pgbench.ts";
import { measureRawParts, sumOf, type RawParts } from "./raw-parts.ts";
import { watchMoments } from "./slow-moments.ts";
import { warmUp } from "./warm-up.ts";

const WANTED = 1.5;
const QUIET = 0.7;
const CLIENTS = 64;
const CONNECTIONS = 256;
const RATE_MAX = 2500;

export const LATENCY: BenchRow = {
  name: "latency",
  title: "p50 of a full exchange, fast mint, c=1, against the sum of its raw parts",
  target: { ratio: WANTED, is: "at_most" },
  run: latency,
};

async function latency(world: BenchWorld): Promise<RowResult | null> {
  if ((await findPgbench()) === null) {
    world.say("pgbench is not on the PATH: its rows are left out");
    return null;
  }
  await using mayfly = await startBenchInstallation(world, OPTIONS);
  const broken: string[] = [];
  const drive = async (options: Drive): Promise<LoadResult> => {
    const result = await driver(world, mayfly)(options);
    broken.push(...troubles(result), ...(await checkSample(mayfly, result)));
    return result;
  };
  // The raw parts take the rows of an exchange as their sample.
  await warmUp(mayfly);
  await drive({ clients: 1, seconds: 1 });
  const { ratio, spread, ours, theirs } = await interleave(
    world.rounds,
    async (round) => {
      // A p50 of one client needs no more than half the time.
      const result = await drive({ clients: 1, seconds: Math.ceil(world.seconds / 2) });
      world.say(`round ${round + 1}: p50 ${result.latencyMs.p50.toFixed(2)} ms`);
      return result;
    },
    async (round) => {
      const parts = await measureRawParts(mayfly, Math.ceil(world.seconds / 4), round);
      world.say(`round ${round + 1}: raw parts ${sumOf(parts).toFixed(2)} ms`);
      return parts;
    },
    (a, b) => a.latencyMs.p50 / sumOf(b),
  );
  const full = await drive({ clients: CLIENTS });
  const quiet: LoadResult[] = [];
  let moments: readonly string[] = [];
  for (let round = 0; round < fewRounds(world); round++) {
    const watch = watchMoments(mayfly);
    const result = await drive({ clients: CONNECTIONS, rate: full.perSecond * QUIET });
    moments = await watch.told(result.slowest);
    quiet.push(result);
  }
  const profile =
    ratio > WANTED
      ? await brokersProfile(world, OPTIONS, (all) => driver(world, all)({ clients: 1 }))
      : [];
  return {
    ratio,
    spread,
    facts: [...facts(ours, theirs, full, quiet), ...moments, ...profile],
    also: [tail(quiet)],
    broken,
  };
}

type Drive = Partial<Parameters<typeof driveLoad>[0]> & { readonly clients: number };
const driver =
  (world: BenchWorld, { api, trust }: BenchInstallation) =>
  (options: Drive): Promise<LoadResult> =>
    driveLoad({
      url: api.url,
      trust,
      seconds: world.seconds,
      role: BENCH_ROLE,
      rateMax: RATE_MAX,
      ...options,
    });

const OPTIONS: BenchInstallationOptions = {
  administrator: "superuser",
  backend: { scram_iterations: 1 },
};

const tail = (quiet: readonly LoadResult[]): FurtherTarget => ({
  name: `p99 at ${QUIET} × the sustainable load, against its p50`,
  ratio: median(quiet.map(({ latencyMs }) => latencyMs.p99 / latencyMs.p50)),
  target: { ratio: 3, is: "at_most" },
});

function facts(
  ours: readonly LoadResult[],
  theirs: readonly RawParts[],
  full: LoadResult,
  quiet: readonly LoadResult[],
): readonly string[] {
  const part = (name: keyof RawParts): string =>
    median(theirs.map((parts) => parts[name])).toFixed(2);
  const at = (which: "p50" | "p99", results: readonly LoadResult[]): string =>
    median(results.map(({ latencyMs }) => latencyMs[which])).toFixed(2);
  return [
    `c=1: p50 ${at("p50", ours)} ms, p99 ${at("p99", ours)} ms`,
    `raw parts: ${median(theirs.map(sumOf)).toFixed(2)} ms, of these a request over HTTP ` +
      `${part("http")}, verifying a token ${part("verify")}, a policy ${part("policy")}, the rows ` +
      `of the ledger in two transactions ${part("ledger")}, the DDL ${part("mint")}, signing ` +
      part("sign"),
    `sustained by ${CLIENTS} clients: ${full.perSecond.toFixed(0)}/s; at ${QUIET} × of it, due at ` +
      `even times: p50 ${at("p50", quiet)} ms, p99 ${at("p99", quiet)} ms; ` +
      `${quiet.reduce((sum, { refused }) => sum + refused, 0)} refused, sent up to ` +
      `${median(quiet.map(({ begunLateMs }) => begunLateMs)).toFixed(0)} ms late`,
  ];
}
