import { interleave, median } from "./interleave.ts";
import { BENCH_ROLE, startBenchInstallation } from "./bench-installation.ts";
import type { BenchRow, RowResult } from "./bench-row.ts";
import { fewRounds, type BenchWorld } from "./bench-world.ts";
import { countUp } from "./count-up.ts";
import { checkSample, driveLoad, troubles } from "./drive-load.ts";
import type { LoadResult } from "./load-job.ts";
import { warmUp } from "./warm-up.ts";

const CLIENTS = 64;
const RATE_MAX = 2500;

/** What proof of possession costs: one more signature to verify, and one more row. */
export const DPOP_EXCHANGE: BenchRow = {
  name: "exchange-dpop",
  title: `full exchange with a DPoP proof, fast mint, c=${CLIENTS}, against the same without`,
  target: { ratio: 0.7, is: "at_least" },
  run: exchangeDpop,
};

async function exchangeDpop(world: BenchWorld): Promise<RowResult> {
  await using mayfly = await startBenchInstallation(world, {
    administrator: "superuser",
    backend: { scram_iterations: 1 },
  });
  const { api, trust } = mayfly;
  const broken: string[] = [];
  let exchanged = await warmUp(mayfly);
  const drive = async (flow: "mayfly" | "dpop"): Promise<LoadResult> => {
    const result = await driveLoad({
      url: api.url,
      trust,
      flow,
      clients: CLIENTS,
      seconds: world.seconds,
      role: BENCH_ROLE,
      rateMax: RATE_MAX,
    });
    exchanged += result.okInAll;
    broken.push(...troubles(result), ...(await checkSample(mayfly, result)));
    return result;
  };
  const { ratio, spread, ours, theirs } = await interleave(
    fewRounds(world),
    () => drive("dpop"),
    () => drive("mayfly"),
    (a, b) => a.perSecond / b.perSecond,
  );
  broken.push(...(await countUp(mayfly, exchanged)));
  const rate = (results: readonly LoadResult[]): string =>
    median(results.map(({ perSecond }) => perSecond)).toFixed(0);
  return {
    ratio,
    spread,
    facts: [
      `exchanges/s: ${rate(ours)} with a proof of a key of its own each, ${rate(theirs)} without`,
      `${exchanged} exchanges in all, each with a lease, a role and its own subject`,
    ],
    broken,
  };
}
