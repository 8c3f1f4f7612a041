/**
 * `npm run fuzz -- [--requests N] [--seed TEXT] [--json]`: N requests that are made from the
 * broker's own schemas, a quarter of them over sockets to a real process with a real PostgreSQL.
 * Exit code 1 when any answer was wrong or anything was minted, registered or left behind.
 */
import {
  countedRun,
  SOURCES,
  startInstallation,
  startRestartable,
  type CountedRun,
} from "../harness/index.ts";
import { fuzzInProcess, fuzzOverSockets } from "./fuzz-all.ts";
import { together, type FuzzRun } from "./run-fuzz.ts";
import { UNPACED } from "./unpaced.ts";

const OVER_SOCKETS = 0.25;

async function fuzz({ count, seed, stop, progress }: CountedRun): Promise<FuzzRun> {
  const overSockets = Math.ceil(count * OVER_SOCKETS);
  const options = { inProcess: count - overSockets, overSockets, seed, stop, say: progress };
  const first = await fuzzInProcess(options);
  if (stop.aborted) return first;
  await using server = await startRestartable();
  await using mayfly = await startInstallation({
    ledgerServer: server,
    customerServer: server,
    programs: SOURCES,
    settings: UNPACED,
  });
  return together([first, await fuzzOverSockets(mayfly, options)]);
}

const reportOf = ({ statuses, found }: FuzzRun): readonly string[] => [
  ...[...statuses]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([status, count]) => `${String(count).padStart(8)}  answered ${status}`),
  ...found.flatMap(({ problem, request }) => [
    `FOUND: ${problem}`,
    ...(request === null
      ? []
      : [`  keep it in test/fuzz/regressions.json: ${JSON.stringify(request)}`]),
  ]),
];

process.exitCode = await countedRun(
  {
    name: "fuzz",
    counted: "requests",
    byDefault: 100_000,
    about: "Sends the broker what its own schemas allow, changed, and judges each answer.",
  },
  async (asked) => {
    const run = await fuzz(asked);
    const { requests, minted } = run;
    const { seed } = asked;
    const failures = run.found.length;
    return {
      failed: failures > 0 || minted > 0,
      report: [...reportOf(run), `${requests} requests, seed ${seed}`],
      summary: [{ requests, failures, minted, seed }],
    };
  },
);
