import { setTimeout } from "node:timers/promises";
import { decodeJwt } from "jose";
import { interleave, median, quantile } from "./interleave.ts";
import {
  BENCH_ROLE,
  startBenchInstallation,
  type BenchInstallation,
  type BenchInstallationOptions,
} from "./bench-installation.ts";
import type { BenchRow, FurtherTarget, RowResult } from "./bench-row.ts";
import { brokersProfile } from "./brokers-profile.ts";
import { fewRounds, type BenchWorld } from "./bench-world.ts";
import { countUp } from "./count-up.ts";
import { checkSample, driveLoad, troubles } from "./drive-load.ts";
import type { LoadResult } from "./load-job.ts";
import { residentKbOf } from "./process-use.ts";
import { warmUp } from "./warm-up.ts";

const WANTED = 3;
const TIMES = 10;
const QUIET = 0.7;
const CLIENTS = 64;
const CONNECTIONS = 512;
const RATE_MAX = 2500;
/** However short the rounds are: the burst at its beginning is a known share of what is taken. */
const FLOOD_SECONDS = 30;
const OVER_SECONDS = 2;
/** What Node may fill with new objects before it collects: three of its semi-spaces, 64 MB each. */
const GROWTH_MB_MAX = 192;
const ASKED_EVERY_MS = 100;

/** Ten times what is sustained, by clients that heed nothing, against seven tenths of it. */
export const OVERLOAD: BenchRow = {
  name: "overload",
  title: `p99 of what is taken at ${TIMES} × the sustainable load, against that at ${QUIET} ×`,
  target: { ratio: WANTED, is: "at_most" },
  run: overload,
};

const OPTIONS: BenchInstallationOptions = {
  administrator: "superuser",
  backend: { scram_iterations: 1 },
};

interface Flooded {
  readonly load: LoadResult;
  /** Of the broker: the most before, and while it was flooded. */
  readonly residentMb: { readonly before: number; readonly most: number };
  readonly heartbeats: Heartbeats;
}

async function overload(world: BenchWorld): Promise<RowResult> {
  await using mayfly = await startBenchInstallation(world, OPTIONS);
  const broken: string[] = [];
  let exchanged = await warmUp(mayfly);
  const told = async (result: LoadResult): Promise<LoadResult> => {
    exchanged += result.okInAll;
    broken.push(...(await checkSample(mayfly, result)));
    return result;
  };
  const drive = driver(world, mayfly);
  const full = await told(await drive({ clients: CLIENTS }));
  const sustained = full.perSecond;
  world.say(`sustained: ${sustained.toFixed(0)}/s`);
  const quiet = async (round: number): Promise<LoadResult> => {
    const result = await told(await drive({ clients: CONNECTIONS, rate: sustained * QUIET }));
    broken.push(...troubles(result));
    world.say(`round ${round + 1}: p99 ${result.latencyMs.p99.toFixed(1)} ms at ${QUIET} ×`);
    return result;
  };
  const flooded = async (round: number): Promise<Flooded> => {
    const before = (await residentKbOf(mayfly.broker.pid)) / 1024;
    await using beside = await openBeside(mayfly);
    const load = await told(
      await drive({
        clients: CONNECTIONS,
        rate: sustained * TIMES,
        seconds: FLOOD_SECONDS,
        warmSeconds: 0,
        after: {
          pauseSeconds: 1,
          fromSeconds: OVER_SECONDS,
          clients: CLIENTS,
          seconds: world.seconds,
        },
      }),
    );
    const { heartbeats, residentMb } = beside.seen();
    const all = { load, residentMb: { before, most: residentMb }, heartbeats };
    broken.push(...faults(all, sustained * TIMES * FLOOD_SECONDS));
    world.say(
      `round ${round + 1}: p99 ${load.latencyMs.p99.toFixed(1)} ms at ${TIMES} ×, ` +
        `${load.ok} taken, ${load.refused} refused`,
    );
    return all;
  };
  const { ratio, spread, ours, theirs } = await interleave(
    fewRounds(world),
    flooded,
    quiet,
    (a, b) => a.load.latencyMs.p99 / b.latencyMs.p99,
  );
  broken.push(...(await countUp(mayfly, exchanged)));
  const after = median(ours.map(({ load }) => load.after?.perSecond ?? Number.NaN));
  const flood = { clients: CONNECTIONS, rate: sustained * TIMES, warmSeconds: 0 };
  const profile =
    ratio > WANTED ? await brokersProfile(world, OPTIONS, (all) => driver(world, all)(flood)) : [];
  return {
    ratio,
    spread,
    facts: [...facts({ sustained, after, ours, theirs }), ...profile],
    also: [again(after / sustained)],
    broken,
  };
}

const again = (ratio: number): FurtherTarget => ({
  name: `rate from ${OVER_SECONDS} s after the overload on, against that before it`,
  ratio,
  target: { ratio: 0.9, is: "at_least" },
});

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

/** What may not be, in a flood or after it. */
function faults({ load, residentMb, heartbeats }: Flooded, due: number): readonly string[] {
  const errors = Object.entries(load.errors).map(([what, count]) => `${count} × ${what}`);
  const offered = load.begun / due;
  const growth = residentMb.most - residentMb.before;
  return [
    ...errors,
    ...(load.refused > 0 ? [] : ["nothing was refused"]),
    ...(load.after?.refused === 0 ? [] : [`${load.after?.refused ?? 0} were refused afterwards`]),
    ...(heartbeats.failed > 0 ? [`${heartbeats.failed} heartbeats failed meanwhile`] : []),
    ...(growth > GROWTH_MB_MAX ? [`the broker grew by ${growth.toFixed(0)} MB`] : []),
    ...(offered < 0.95 ? [`only ${(offered * TIMES).toFixed(1)} × was sent`] : []),
  ];
}

interface Seen {
  readonly sustained: number;
  readonly after: number;
  readonly ours: readonly Flooded[];
  readonly theirs: readonly LoadResult[];
}

function facts({ sustained, after, ours, theirs }: Seen): readonly string[] {
  const of = (pick: (one: Flooded) => number, digits = 0): string =>
    median(ours.map(pick)).toFixed(digits);
  const quiet = (pick: (one: LoadResult) => number): string => median(theirs.map(pick)).toFixed(1);
  return [
    `sustained by ${CLIENTS} clients, fast mint: ${sustained.toFixed(0)}/s`,
    `at ${QUIET} ×: p50 ${quiet((one) => one.latencyMs.p50)} ms, ` +
      `p99 ${quiet((one) => one.latencyMs.p99)} ms; ${total(theirs, "refused")} of ` +
      `${total(theirs, "begun")} refused, sent up to ${quiet((one) => one.begunLateMs)} ms late by ` +
      "a generator on the same cores",
    `at ${TIMES} ×, from the first request on: p50 ${of((one) => one.load.latencyMs.p50, 1)} ms, ` +
      `p99 ${of((one) => one.load.latencyMs.p99, 1)} ms of ${of(({ load }) => load.perSecond)}/s ` +
      `taken, ${of(({ load }) => load.refused / (load.ok + load.refused), 3)} of all refused with ` +
      "Retry-After",
    `from ${OVER_SECONDS} s after it: ${after.toFixed(0)}/s, none refused`,
    `the broker's memory: ${of(({ residentMb }) => residentMb.before)} MB before, at most ` +
      `${of(({ residentMb }) => residentMb.most)} MB`,
    `heartbeats of a task meanwhile, one in ${ASKED_EVERY_MS} ms: none refused, p99 ` +
      `${of(({ heartbeats }) => heartbeats.p99Ms, 1)} ms`,
  ];
}

const total = (results: readonly LoadResult[], what: "refused" | "begun"): number =>
  results.reduce((sum, one) => sum + one[what], 0);

interface Heartbeats {
  readonly failed: number;
  readonly p99Ms: number;
}

interface Beside extends AsyncDisposable {
  /** So far. */
  seen(): { readonly heartbeats: Heartbeats; readonly residentMb: number };
}

/** Keeps a task alive and looks at the broker's memory, until it is disposed of. */
async function openBeside({ api, trust, broker }: BenchInstallation): Promise<Beside> {
  const subject = trust.token({ claims: { sub: `spiffe://${trust.trustDomain}/agent/beside` } });
  const details = { type: "mayfly-task", goal: "Stay alive", deadline: 3600, idle_timeout: 600 };
  const reply = await api.exchange({ subject, details: { ...details, credentials: [] } });
  const { access_token: token } = reply.body as { readonly access_token: string };
  const path = `/v1/tasks/${String(decodeJwt(token)["task"])}/heartbeat`;
  const latencies: number[] = [];
  let [failed, residentKb, isOver] = [0, 0, false];
  const ask = async (): Promise<void> => {
    while (!isOver) {
      const from = performance.now();
      const { status } = await api.call(token, "POST", path, {});
      latencies.push(performance.now() - from);
      if (status !== 200) failed++;
      residentKb = Math.max(residentKb, await residentKbOf(broker.pid));
      await setTimeout(ASKED_EVERY_MS);
    }
  };
  const asking = ask();
  return {
    seen: () => ({
      heartbeats: { failed, p99Ms: quantile(latencies, 0.99) },
      residentMb: residentKb / 1024,
    }),
    [Symbol.asyncDispose]: async () => {
      isOver = true;
      await asking;
    },
  };
}
