/**
 * `npm run crowd -- [--leases N] [--type NAME,…] [--write]`: so many leases of each type that are
 * due in the same second, with their sessions open, and leases of another backend meanwhile. Exit
 * code 1 when anything is left or late. `--write` keeps the figures in `docs/backends/times.json`.
 */
import { parseArgs } from "node:util";
import type { CrowdTimes } from "../../services/composition/src/backend-times.ts";
import { chosenUpstreams } from "./chosen-upstreams.ts";
import { measureCrowd } from "./measure-crowd.ts";
import { startMeasured } from "./measured-installation.ts";
import { keepTimes } from "./times-file.ts";
import type { Upstream } from "./upstreams/upstream.ts";

const USAGE = "usage: npm run crowd -- [--leases N] [--type NAME,…] [--write]";
const LEASES_MAX = 10_000;
/** Of the page's column. */
const LEASES_KEPT = 1_000;
/** Of the other backend, one every 100 ms. */
const NEIGHBOURS = 300;
const NEIGHBOUR_LATE_MS_MAX = 1_000;

interface Asked {
  readonly leases: number;
  readonly upstreams: readonly Upstream[];
  readonly write: boolean;
}

async function readArguments(args: readonly string[]): Promise<Asked> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      leases: { type: "string", default: String(LEASES_KEPT) },
      type: { type: "string" },
      write: { type: "boolean", default: false },
    },
  });
  const leases = Number(values.leases);
  if (!Number.isSafeInteger(leases) || leases < 1 || leases > LEASES_MAX) {
    throw new Error(`--leases: expected a whole number from 1 to ${LEASES_MAX}`);
  }
  if (values.write && leases !== LEASES_KEPT) {
    throw new Error(`--write: the page has the times of ${LEASES_KEPT} leases`);
  }
  const upstreams = await chosenUpstreams(values.type);
  return {
    leases,
    // Nothing but a replacement ends those of a static secret.
    upstreams: upstreams.filter(({ outcome }) => outcome !== "never"),
    write: values.write,
  };
}

const say = (line: string): void => {
  process.stderr.write(`  … ${line}\n`);
};

function tell(type: string, { leases, sessions, seconds, outcome, neighbour }: CrowdTimes): void {
  process.stdout.write(
    `${type}: ${leases} leases, ${sessions} sessions: ${outcome} in ${seconds.toFixed(2)} s; ` +
      `${neighbour.ends} ends of another backend, at most ${neighbour.late_ms_max} ms late\n`,
  );
}

async function main(): Promise<number> {
  let asked: Asked;
  try {
    asked = await readArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`crowd: ${error instanceof Error ? error.message : ""}\n${USAGE}\n`);
    return 64;
  }
  let failures = 0;
  for (const upstream of asked.upstreams) {
    // An installation of its own, so that one type's crowd is no part of another's.
    await using installation = await startMeasured();
    const { type } = upstream;
    const { leases } = asked;
    const order = { leases, upstream, neighbours: NEIGHBOURS, say };
    const { times, broken } = await measureCrowd(installation, order);
    const lateMs = times.neighbour.late_ms_max;
    if (lateMs > NEIGHBOUR_LATE_MS_MAX) broken.push(`another backend's end was ${lateMs} ms late`);
    tell(type, times);
    for (const each of broken) process.stdout.write(`  BROKEN ${each}\n`);
    failures += broken.length;
    if (asked.write && broken.length === 0) {
      await keepTimes({ types: {}, crowds: { [type]: times } });
    }
  }
  return failures === 0 ? 0 : 1;
}

process.exitCode = await main();
