/**
 * `npm run crowd -- [--leases N] [--type NAME,…] [--write]`: so many leases of each type that are
 * due in the same second, with their sessions open, and leases of another backend meanwhile. Exit
 * code 1 when anything is left or late. `--write` keeps the figures in `docs/backends/times.json`
 * and makes the page of all types of them.
 *
 * With `--down`: N leases (100) of every type whose ends are prompt and of `orders-db`, due one
 * every 100 ms, while the server of one of `--type` after the other refuses connections, or takes
 * them and hangs; and how late the others' ends are.
 */
import type { CrowdTimes, DownTimes } from "../../services/composition/src/backend-times.ts";
import { bundlePrograms, type Programs } from "../harness/index.ts";
import { measureCrowd } from "./measure-crowd.ts";
import { startMeasured, surroundings } from "./measured-installation.ts";
import { measureDown, type Down, type EndsBesideOneDown } from "./measure-down.ts";
import { readMeasurement, say, type Asked } from "./read-measurement.ts";
import { availableServers, startSharedServers } from "./shared-servers/start-shared-servers.ts";
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

/** Each end of these is over when its server says so: none waits for a list or an expiry. */
const PROMPT = ["mysql", "redis", "rabbitmq", "vault", "ssh", "webhook"];
const DOWN_LEASES_KEPT = 100;

async function oneDown({ count: leases, upstreams, write }: Asked): Promise<number> {
  if (!upstreams.some(({ type }) => PROMPT.includes(type))) {
    process.stderr.write(`crowd: --down: it is of ${PROMPT.join(", ")}\n`);
    return 64;
  }
  await using ends = new AsyncDisposableStack();
  const prompt = (await availableServers()).filter(({ type }) => PROMPT.includes(type));
  const servers = await startSharedServers(prompt, ends);
  const programs = await bundlePrograms(ends);
  const chosen = servers.filter(({ type }) => upstreams.some((one) => one.type === type));
  let failures = 0;
  const measure = async (type: string, how: Down): Promise<EndsBesideOneDown> => {
    const seen = await measureDown({ servers, leases, type, how, installation: { programs } });
    const isLate = seen.late_max_ms > NEIGHBOUR_LATE_MS_MAX;
    if (isLate) failures++;
    process.stdout.write(
      `${type} ${how}: ${seen.ends} ends of the others, p50 ${seen.late_p50_ms} ms late, ` +
        `at most ${seen.late_max_ms} ms${isLate ? " BROKEN" : ""}; ` +
        `${seen.endedOfIt} of its own ${leases} ended\n`,
    );
    return seen;
  };
  // To compare with: nothing is down.
  await measure(chosen[0]?.type ?? "", "works");
  for (const { type } of chosen) {
    const around = surroundings();
    const before = failures;
    const { endedOfIt: _, ...refuses } = await measure(type, "refuses");
    const { endedOfIt: __, ...hangs } = await measure(type, "hangs");
    const times: DownTimes = { ...around, leases, refuses, hangs };
    if (write && failures === before) await keepTimes({ downs: { [type]: times } });
  }
  return failures === 0 ? 0 : 1;
}

async function oneType(
  upstream: Asked["upstreams"][number],
  { count: leases, write }: Asked,
  programs: Programs,
): Promise<number> {
  const { type } = upstream;
  // An installation of its own, so that one type's crowd is no part of another's.
  await using installation = await startMeasured({ programs });
  const order = { leases, upstream, neighbours: NEIGHBOURS, isTimed: true, say };
  const { times, broken } = await measureCrowd(installation, order);
  const lateMs = times.neighbour.late_ms_max;
  if (lateMs > NEIGHBOUR_LATE_MS_MAX) broken.push(`another backend's end was ${lateMs} ms late`);
  tell(type, times);
  for (const each of broken) process.stdout.write(`  BROKEN ${each}\n`);
  if (write && broken.length === 0) await keepTimes({ crowds: { [type]: times } });
  return broken.length;
}

async function main(): Promise<number> {
  const asked = await readMeasurement(
    {
      program: "crowd",
      count: "leases",
      usual: (down) => (down ? DOWN_LEASES_KEPT : LEASES_KEPT),
      max: (down) => (down ? DOWN_LEASES_KEPT : 10_000),
      canBeDown: true,
      unkept: (leases, down) => {
        const kept = down ? DOWN_LEASES_KEPT : LEASES_KEPT;
        return leases === kept ? null : `the page has the times of ${kept} leases`;
      },
    },
    process.argv.slice(2),
  );
  if (asked === null) return 64;
  if (asked.down) return oneDown(asked);
  await using bundled = new AsyncDisposableStack();
  const programs = await bundlePrograms(bundled);
  let failures = 0;
  for (const upstream of asked.upstreams) {
    // Nothing but a replacement ends those of a static secret.
    if (upstream.outcome === "never") continue;
    failures += await oneType(upstream, asked, programs);
  }
  return failures === 0 ? 0 : 1;
}

process.exitCode = await main();
