import { interleave, median } from "./interleave.ts";
import {
  BENCH_ROLE,
  startBenchInstallation,
  type BenchInstallation,
  type BenchInstallationOptions,
} from "./bench-installation.ts";
import type { BenchRow, RowResult } from "./bench-row.ts";
import type { BenchWorld } from "./bench-world.ts";
import { countUp } from "./count-up.ts";
import { brokersProfile } from "./brokers-profile.ts";
import { checkSample, driveLoad, troubles } from "./drive-load.ts";
import type { LoadResult } from "./load-job.ts";
import { mintScript } from "./mint-script.ts";
import { findPgbench, pgbench, type PgbenchResult } from "./pgbench.ts";
import { scramFloor } from "./scram-floor.ts";
import { warmUp } from "./warm-up.ts";

const SCRAM_ITERATIONS = 4096;

export const SCRAM_EXCHANGE: BenchRow = {
  name: "exchange-scram",
  title: "full exchange, SCRAM with 4096 rounds, c=16, against pgbench of the same DDL",
  target: { ratio: 0.75, is: "at_least" },
  run: (world) =>
    againstPgbench(world, {
      wanted: 0.75,
      clients: 16,
      iterations: SCRAM_ITERATIONS,
      rateMax: 1500,
    }),
};

export const FAST_EXCHANGE: BenchRow = {
  name: "exchange-fast",
  title: "full exchange, fast mint, c=64, against pgbench of the same DDL alone",
  target: { ratio: 0.25, is: "at_least" },
  run: (world) =>
    againstPgbench(world, { wanted: 0.25, clients: 64, iterations: 1, rateMax: 2500 }),
};

interface Shape {
  readonly wanted: number;
  readonly clients: number;
  readonly iterations: number;
  readonly rateMax: number;
}

async function againstPgbench(world: BenchWorld, shape: Shape): Promise<RowResult | null> {
  const version = await findPgbench();
  if (version === null) {
    world.say("pgbench is not on the PATH: its rows are left out");
    return null;
  }
  const options: BenchInstallationOptions = {
    administrator: "superuser",
    backend: { scram_iterations: shape.iterations },
  };
  await using mayfly = await startBenchInstallation(world, options);
  const broken: string[] = [];
  let exchanged = await warmUp(mayfly);
  const drive = ({ api, trust }: BenchInstallation): Promise<LoadResult> =>
    driveLoad({
      url: api.url,
      trust,
      clients: shape.clients,
      seconds: world.seconds,
      role: BENCH_ROLE,
      rateMax: shape.rateMax,
    });
  const ours = async (round: number): Promise<LoadResult> => {
    const result = await drive(mayfly);
    exchanged += result.okInAll;
    broken.push(...troubles(result), ...(await checkSample(mayfly, result)));
    world.say(`round ${round + 1}: ${result.perSecond.toFixed(0)} exchanges/s`);
    return result;
  };
  const theirs = async (round: number): Promise<PgbenchResult> => {
    const result = await pgbench({
      url: mayfly.server.url("orders"),
      script: mintScript(`pgb${round}_`, shape.iterations),
      clients: shape.clients,
      seconds: world.seconds,
    });
    if (result.failed > 0) broken.push(`${result.failed} of pgbench failed`);
    world.say(`round ${round + 1}: ${result.perSecond.toFixed(0)} roles/s by pgbench`);
    return result;
  };
  const { ratio, spread, ...measured } = await interleave(
    world.rounds,
    ours,
    theirs,
    (a, b) => a.perSecond / b.perSecond,
  );
  broken.push(...(await countUp(mayfly, exchanged)));
  const isMissed = ratio < shape.wanted;
  const { seconds } = world;
  const { iterations } = shape;
  const floor =
    isMissed && iterations === SCRAM_ITERATIONS
      ? await scramFloor(mayfly, { iterations, seconds, drive })
      : [];
  const profile = isMissed ? await brokersProfile(world, options, drive) : [];
  return {
    ratio,
    spread,
    facts: [
      `exchanges/s: ${median(measured.ours.map((one) => one.perSecond)).toFixed(0)}, ` +
        `p50 ${median(measured.ours.map((one) => one.latencyMs.p50)).toFixed(1)} ms, ` +
        `p99 ${median(measured.ours.map((one) => one.latencyMs.p99)).toFixed(1)} ms`,
      `roles/s by pgbench: ${median(measured.theirs.map((one) => one.perSecond)).toFixed(0)}`,
      `${exchanged} exchanges in all, each with a lease, a role and its own subject`,
      ...floor,
      ...profile,
    ],
    broken,
  };
}
