/**
 * `npm run fuzz -- [--requests N] [--seed TEXT] [--json]`: N requests that are made from the
 * broker's own schemas, a quarter of them over sockets to a real process with a real PostgreSQL.
 * Exit code 1 when any answer was wrong or anything was minted, registered or left behind.
 */
import { countedRun, SOURCES, startInstallation, startRestartable } from "../harness/index.ts";
import { fuzzInProcess, fuzzOverSockets } from "./fuzz-all.ts";
import { together, type FuzzRun } from "./run-fuzz.ts";
import { UNPACED } from "./unpaced.ts";

const OVER_SOCKETS = 0.25;
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function fuzz(requests: number, seed: string): Promise<FuzzRun> {
  const overSockets = Math.ceil(requests * OVER_SOCKETS);
  const tell = (line: string): void => {
    process.stderr.write(`  … ${line}\n`);
  };
  const options = { inProcess: requests - overSockets, overSockets, seed, say: tell };
  const first = await fuzzInProcess(options);
  await using server = await startRestartable();
  await using mayfly = await startInstallation({
    ledgerServer: server,
    customerServer: server,
    programs: SOURCES,
    settings: UNPACED,
  });
  return together([first, await fuzzOverSockets(mayfly, options)]);
}

function tell({ statuses, found }: FuzzRun): void {
  for (const [status, count] of [...statuses].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    say(`${String(count).padStart(8)}  answered ${status}`);
  }
  for (const { problem, request } of found) {
    say(`FOUND: ${problem}`);
    if (request !== null)
      say(`  keep it in test/fuzz/regressions.json: ${JSON.stringify(request)}`);
  }
}

process.exitCode = await countedRun(
  {
    name: "fuzz",
    counted: "requests",
    byDefault: 100_000,
    about: "Sends the broker what its own schemas allow, changed, and judges each answer.",
  },
  async ({ count, seed, json }) => {
    const run = await fuzz(count, seed);
    tell(run);
    const { requests, minted } = run;
    const failures = run.found.length;
    say(`${requests} requests, seed ${seed}`);
    if (json) say(JSON.stringify({ requests, failures, minted, seed }));
    return failures === 0 && minted === 0 ? 0 : 1;
  },
);
