import { interleave, median } from "./interleave.ts";
import {
  BENCH_ROLE,
  startBenchInstallation,
  type BenchInstallation,
  type BenchInstallationOptions,
} from "./bench-installation.ts";
import type { BenchRow, RowResult } from "./bench-row.ts";
import { fewRounds, type BenchWorld } from "./bench-world.ts";
import { checkSample, driveLoad, troubles } from "./drive-load.ts";
import type { LoadResult } from "./load-job.ts";
import { warmUp } from "./warm-up.ts";

const WANTED = 3;
/**
 * The stranger, who sends for him and who sends for the others take their share of the same two
 * cores: at 0.5 it was not sustainable beside them, and exchanges were refused as too many.
 */
const QUIET = 0.4;
const CLIENTS = 64;
const CONNECTIONS = 256;
const RATE_MAX = 2500;
/** Forged tokens a second: several times what is exchanged meanwhile. */
const FLOOD_RATE = 2000;
/** Another one than that of those who are to be served. */
const STRANGER = "127.0.0.2";

/** Workloads at a part of what is sustained, while a stranger tries forged tokens. */
export const FLOOD: BenchRow = {
  name: "flood",
  title: `p99 at ${QUIET} × the sustainable load under ${FLOOD_RATE} forged tokens a second, against it without`,
  target: { ratio: WANTED, is: "at_most" },
  run: flood,
};

const OPTIONS: BenchInstallationOptions = {
  administrator: "superuser",
  backend: { scram_iterations: 1 },
};

interface Flooded {
  readonly served: LoadResult;
  readonly stranger: LoadResult;
}

async function flood(world: BenchWorld): Promise<RowResult> {
  await using mayfly = await startBenchInstallation(world, OPTIONS);
  await warmUp(mayfly);
  const broken: string[] = [];
  const drive = driver(world, mayfly);
  const full = await drive({ clients: CLIENTS });
  const quiet = async (): Promise<LoadResult> => {
    const result = await drive({ clients: CONNECTIONS, rate: full.perSecond * QUIET });
    broken.push(...troubles(result), ...(await checkSample(mayfly, result)));
    return result;
  };
  const flooded = async (): Promise<Flooded> => {
    const [served, stranger] = await Promise.all([
      quiet(),
      drive({ flow: "stranger", source: STRANGER, clients: CONNECTIONS, rate: FLOOD_RATE }),
    ]);
    if (stranger.ok > 0) broken.push(`${stranger.ok} forged tokens were believed`);
    return { served, stranger };
  };
  const { ratio, spread, ours, theirs } = await interleave(
    fewRounds(world),
    flooded,
    quiet,
    (a, b) => a.served.latencyMs.p99 / b.latencyMs.p99,
  );
  const of = (pick: (one: Flooded) => number, digits = 0): string =>
    median(ours.map(pick)).toFixed(digits);
  return {
    ratio,
    spread,
    facts: [
      `sustained by ${CLIENTS} clients, fast mint: ${full.perSecond.toFixed(0)}/s`,
      `without: p99 ${median(theirs.map((one) => one.latencyMs.p99)).toFixed(1)} ms`,
      `with: p99 ${of(({ served }) => served.latencyMs.p99, 1)} ms, none refused`,
      `of a second's forged tokens ${of(({ stranger }) => stranger.refused / world.seconds)} were ` +
        `refused unread, with Retry-After; ` +
        `${of(({ stranger }) => verified(stranger) / world.seconds)} were verified, and refused`,
    ],
    broken,
  };
}

/** What was answered 400: each such answer's text is a name of its own. */
const verified = ({ errors }: LoadResult): number =>
  Object.entries(errors)
    .filter(([what]) => what.startsWith("400 "))
    .reduce((sum, [, count]) => sum + count, 0);

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
