/**
 * `npm run times -- [--rounds N] [--type NAME,…] [--write]`: how long a mint of each type takes,
 * and how long after the end of its task what was issued is refused. `--write` keeps the figures in
 * `docs/backends/times.json`, of which the page of all types is made.
 */
import { parseArgs } from "node:util";
import type { TypeTimes } from "../../services/composition/src/backend-times.ts";
import { chosenUpstreams } from "./chosen-upstreams.ts";
import { measureTimes } from "./measure-times.ts";
import { startMeasured } from "./measured-installation.ts";
import { keepTimes } from "./times-file.ts";
import type { Upstream } from "./upstreams/upstream.ts";

const USAGE = "usage: npm run times -- [--rounds N] [--type NAME,…] [--write]";
const ROUNDS_MAX = 1_000;
const WRITE_PAGE = "node services/composition/src/write-backend-pages.ts";

interface Asked {
  readonly rounds: number;
  readonly upstreams: readonly Upstream[];
  readonly write: boolean;
}

async function readArguments(args: readonly string[]): Promise<Asked> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "100" },
      type: { type: "string" },
      write: { type: "boolean", default: false },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isSafeInteger(rounds) || rounds < 1 || rounds > ROUNDS_MAX) {
    throw new Error(`--rounds: expected a whole number from 1 to ${ROUNDS_MAX}`);
  }
  return { rounds, upstreams: await chosenUpstreams(values.type), write: values.write };
}

const columns = (cells: readonly string[]): string =>
  `${cells.map((cell, nth) => (nth === 0 ? cell.padEnd(10) : cell.padStart(14))).join("")}\n`;

function tell(times: Readonly<Record<string, TypeTimes>>): void {
  process.stdout.write(columns(["type", "mint p50", "refused p50", "p99", "max"]));
  for (const [type, { mint_p50_ms: mint, refused }] of Object.entries(times)) {
    const ends =
      refused === null
        ? ["never", "", ""]
        : [refused.p50_ms, refused.p99_ms, refused.max_ms].map((ms) => `${ms} ms`);
    process.stdout.write(columns([type, `${mint} ms`, ...ends]));
  }
}

async function main(): Promise<number> {
  let asked: Asked;
  try {
    asked = await readArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`times: ${error instanceof Error ? error.message : ""}\n${USAGE}\n`);
    return 64;
  }
  await using installation = await startMeasured();
  const say = (line: string): void => {
    process.stderr.write(`  … ${line}\n`);
  };
  const times = await measureTimes(installation, { ...asked, say });
  tell(times);
  if (asked.write) {
    await keepTimes({ types: times, crowds: {} });
    say(`kept in docs/backends/times.json; its page is made by ${WRITE_PAGE}`);
  }
  return 0;
}

process.exitCode = await main();
