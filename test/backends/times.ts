/**
 * `npm run times -- [--rounds N] [--type NAME,…] [--write]`: how long a mint of each type takes,
 * and how long after the end of its task what was issued is refused. `--write` keeps the figures in
 * `docs/backends/times.json` and makes the page of all types of them.
 */
import type { TypeTimes } from "../../services/composition/src/backend-times.ts";
import { measureTimes } from "./measure-times.ts";
import { startMeasured } from "./measured-installation.ts";
import { readMeasurement, say } from "./read-measurement.ts";
import { keepTimes } from "./times-file.ts";

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
  const asked = await readMeasurement(
    {
      program: "times",
      count: "rounds",
      usual: () => 100,
      max: () => 1_000,
      canBeDown: false,
      unkept: () => null,
    },
    process.argv.slice(2),
  );
  if (asked === null) return 64;
  await using installation = await startMeasured();
  const { count: rounds, upstreams } = asked;
  const times = await measureTimes(installation, { rounds, upstreams, say });
  tell(times);
  if (asked.write) {
    await keepTimes({ types: times });
    say("kept in docs/backends/times.json and its page");
  }
  return 0;
}

process.exitCode = await main();
