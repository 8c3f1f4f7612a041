/**
 * `npm run crowd -- [--leases N] [--type NAME,…] [--write]`: so many leases of each type that are
 * due in the same second, with their sessions open, and leases of another backend meanwhile. Exit
 * code 1 when anything is left or late. `--write` keeps the figures in `docs/backends/times.json`.
 *
 * With `--down`: leases of those types and of `orders-db`, N of each (at most 100), due one every
 * 100 ms, while the server of one type after the other refuses connections, or takes them and
 * hangs; and how late the others' ends are.
 */
import type { CrowdTimes } from "../../services/composition/src/backend-times.ts";
import { measureCrowd } from "./measure-crowd.ts";
import { startMeasured } from "./measured-installation.ts";
import { measureDown } from "./measure-down.ts";
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
const DOWN_LEASES_MAX = 100;

async function oneDown({ count, upstreams }: Asked): Promise<number> {
  await using ends = new AsyncDisposableStack();
  const chosen = PROMPT.filter((prompt) => upstreams.some(({ type }) => type === prompt));
  const available = await availableServers();
  const prompt = available.filter(({ type }) => chosen.includes(type));
  const servers = await startSharedServers(prompt, ends);
  const leases = Math.min(count, DOWN_LEASES_MAX);
  const rounds = servers.flatMap(({ type }) => [
    { type, how: "refuses" } as const,
    { type, how: "hangs" } as const,
  ]);
  let failures = 0;
  for (const { type, how } of [{ type: chosen[0] ?? "", how: "works" } as const, ...rounds]) {
    const times = await measureDown({ servers, leases, type, how });
    const isLate = times.late_max_ms > NEIGHBOUR_LATE_MS_MAX;
    if (isLate) failures++;
    process.stdout.write(
      `${type} ${how}: ${times.ends} ends of the others, p50 ${times.late_p50_ms} ms late, ` +
        `at most ${times.late_max_ms} ms${isLate ? " BROKEN" : ""}; ` +
        `${times.endedOfIt} of its own ${leases} ended\n`,
    );
  }
  return failures === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const asked = await readMeasurement(
    {
      program: "crowd",
      count: "leases",
      usual: LEASES_KEPT,
      max: 10_000,
      canBeDown: true,
      unkept: (leases) =>
        leases === LEASES_KEPT ? null : `the page has the times of ${LEASES_KEPT} leases`,
    },
    process.argv.slice(2),
  );
  if (asked === null) return 64;
  if (asked.down) return oneDown(asked);
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
