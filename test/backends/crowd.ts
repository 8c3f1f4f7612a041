/**
 * `npm run crowd -- [--leases N] [--type NAME,…] [--write]`: so many leases of each type that are
 * due in the same second, with their sessions open, and leases of another backend meanwhile. Exit
 * code 1 when anything is left or late. `--write` keeps the figures in `docs/backends/times.json`.
 */
import type { CrowdTimes } from "../../services/composition/src/backend-times.ts";
import { measureCrowd } from "./measure-crowd.ts";
import { startMeasured } from "./measured-installation.ts";
import { readMeasurement, say } from "./read-measurement.ts";
import { keepTimes } from "./times-file.ts";

/** Of the page's column. */
const LEASES_KEPT = 1_000;
/** Of the other backend, one every 100 ms. */
const NEIGHBOURS = 300;
const NEIGHBOUR_LATE_MS_MAX = 1_000;

function tell(type: string, { leases, sessions, seconds, outcome, neighbour }: CrowdTimes): void {
  process.stdout.write(
    `${type}: ${leases} leases, ${sessions} sessions: ${outcome} in ${seconds.toFixed(2)} s; ` +
      `${neighbour.ends} ends of another backend, at most ${neighbour.late_ms_max} ms late\n`,
  );
}

async function main(): Promise<number> {
  const asked = await readMeasurement(
    {
      program: "crowd",
      count: "leases",
      usual: LEASES_KEPT,
      max: 10_000,
      unkept: (leases) =>
        leases === LEASES_KEPT ? null : `the page has the times of ${LEASES_KEPT} leases`,
    },
    process.argv.slice(2),
  );
  if (asked === null) return 64;
  let failures = 0;
  for (const upstream of asked.upstreams) {
    // Nothing but a replacement ends those of a static secret.
    if (upstream.outcome === "never") continue;
    // An installation of its own, so that one type's crowd is no part of another's.
    await using installation = await startMeasured();
    const { type } = upstream;
    const order = {
      leases: asked.count,
      upstream,
      neighbours: NEIGHBOURS,
      isTimed: true,
      say,
    };
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
