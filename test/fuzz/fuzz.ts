/**
 * `npm run fuzz -- [--requests N] [--seed TEXT] [--json]`: N requests that are made from the
 * broker's own schemas, a quarter of them over sockets to a real process with a real PostgreSQL.
 * Exit code 1 when any answer was wrong or anything was minted, registered or left behind.
 */
import { parseArgs } from "node:util";
import { SOURCES, startInstallation, startRestartable } from "../harness/index.ts";
import { fuzzInProcess, fuzzOverSockets } from "./fuzz-all.ts";
import { together, type FuzzRun } from "./run-fuzz.ts";

const USAGE = "usage: npm run fuzz -- [--requests N] [--seed TEXT] [--json]";
const OVER_SOCKETS = 0.25;
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

function optionsOf(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: "string", default: "100000" },
      seed: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const requests = Number(values.requests);
  if (!Number.isSafeInteger(requests) || requests < 1) {
    throw new Error("--requests: expected a whole number from 1 on");
  }
  return { requests, seed: values.seed ?? new Date().toISOString(), json: values.json };
}

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

async function main(): Promise<number> {
  let options: ReturnType<typeof optionsOf>;
  try {
    options = optionsOf(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`fuzz: ${error instanceof Error ? error.message : ""}\n${USAGE}\n`);
    return 64;
  }
  const { seed } = options;
  const run = await fuzz(options.requests, seed);
  tell(run);
  const { requests, minted } = run;
  const failures = run.found.length;
  say(`${requests} requests, seed ${seed}`);
  if (options.json) say(JSON.stringify({ requests, failures, minted, seed }));
  return failures === 0 && minted === 0 ? 0 : 1;
}

process.exitCode = await main();
