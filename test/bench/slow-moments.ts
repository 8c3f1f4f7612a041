import { readdirSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import type { BenchInstallation } from "./bench-installation.ts";

/** From when a request was due until its answer was there, in milliseconds since the epoch. */
export interface Moment {
  readonly fromMs: number;
  readonly toMs: number;
}

const EVERY_MS = 50;
/** Processes and connections come when a load begins; the first of it is not measured anyway. */
const LOOK_AGAIN_EVERY = 10;
/** What begins within it of another one is of the same clump. */
const APART_MS = 100;
const SHOWN_MIN = 0.02;
const BROKER = "the broker's main thread";

interface Sample extends Moment {
  /** Cores that each was on, by name. */
  readonly cores: ReadonlyMap<string, number>;
  /** Of the time: the broker's main thread could have run, and others had the cores. */
  readonly waited: number;
}

export interface SlowMoments {
  /** What ran while these were under way, and what ran in all; ends the watching. */
  told(slowest: readonly Moment[]): Promise<readonly string[]>;
}

/**
 * Watches, while a load runs, who has the cores: with load generator and servers on the same ones,
 * what a slow request waits for is as a rule somebody who runs.
 */
export function watchMoments(mayfly: BenchInstallation): SlowMoments {
  const samples: Sample[] = [];
  let isOver = false;
  const watch = async (): Promise<void> => {
    let threads = await threadsOf(mayfly);
    let before = read(threads);
    for (let turn = 1; !isOver; turn++) {
      await setTimeout(EVERY_MS);
      if (turn % LOOK_AGAIN_EVERY === 0) threads = await threadsOf(mayfly);
      const now = read(threads);
      samples.push(between(threads, before, now));
      before = now;
    }
  };
  const watching = watch();
  return {
    told: async (slowest) => {
      isOver = true;
      await watching;
      return linesOf(samples, slowest);
    },
  };
}

type Threads = ReadonlyMap<string, string>;

interface Reading {
  readonly atMs: number;
  /** Nanoseconds that each thread ran, and that it could have run. */
  readonly times: ReadonlyMap<string, readonly [number, number]>;
}

/** By the path of its times, whose each thread is. */
async function threadsOf({ ledger, broker, worker }: BenchInstallation): Promise<Threads> {
  const threads = new Map<string, string>();
  for (const [name, { pid }] of [
    ["broker", broker],
    ["worker", worker],
  ] as const) {
    for (const thread of entriesOf(`/proc/${pid}/task`)) {
      const whose = Number(thread) === pid ? `the ${name}'s main thread` : `the ${name}'s others`;
      threads.set(`/proc/${pid}/task/${thread}/schedstat`, whose);
    }
  }
  for (const thread of entriesOf("/proc/self/task")) {
    threads.set(`/proc/self/task/${thread}/schedstat`, "the benchmark itself");
  }
  for (const [pid, name] of startedByUs()) threads.set(`/proc/${pid}/schedstat`, name);
  const backends = await ledger<{ pid: number; name: string }[]>`
    SELECT pid, CASE
      WHEN usename = 'mayfly_broker' THEN 'PostgreSQL for the broker'
      WHEN usename = 'mayfly_worker' THEN 'PostgreSQL for the worker'
      WHEN application_name = 'mayfly' THEN 'PostgreSQL that mints and drops'
      ELSE 'PostgreSQL''s ' || backend_type END AS name
    FROM pg_stat_activity WHERE pid <> pg_backend_pid()`;
  for (const { pid, name } of backends) threads.set(`/proc/${pid}/schedstat`, name);
  return threads;
}

/** Main threads of the load generator and of Redis, which has no other that works. */
function* startedByUs(): Iterable<readonly [number, string]> {
  const parents = new Map<number, number>();
  for (const entry of entriesOf("/proc")) {
    const stat = /^\d+$/.test(entry) ? textOf(`/proc/${entry}/stat`) : null;
    // The name of the program is in parentheses, and may hold blanks.
    if (stat === null) continue;
    parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
  }
  for (const pid of parents.keys()) {
    let above = parents.get(pid);
    while (above !== undefined && above !== process.pid) above = parents.get(above);
    if (above === undefined) continue;
    const command = textOf(`/proc/${pid}/cmdline`) ?? "";
    if (command.includes("load-process.ts")) yield [pid, "the load generator"];
    else if (command.includes("redis-server")) yield [pid, "Redis"];
  }
}

/** Empty, or null, of a process that has ended. */
function entriesOf(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** Proc(5) and the kernel's sched-stats: time on a core, time ready for one, turns on one. */
function read(threads: Threads): Reading {
  const times = new Map<string, readonly [number, number]>();
  for (const path of threads.keys()) {
    const [ran, waited] = (textOf(path) ?? "").split(" ").map(Number);
    if (ran !== undefined && waited !== undefined) times.set(path, [ran, waited]);
  }
  return { atMs: performance.timeOrigin + performance.now(), times };
}

function between(threads: Threads, before: Reading, now: Reading): Sample {
  const spanNs = (now.atMs - before.atMs) * 1e6;
  const cores = new Map<string, number>();
  let waited = 0;
  for (const [path, name] of threads) {
    const [from, to] = [before.times.get(path), now.times.get(path)];
    if (from === undefined || to === undefined) continue;
    cores.set(name, (cores.get(name) ?? 0) + (to[0] - from[0]) / spanNs);
    if (name === BROKER) waited += (to[1] - from[1]) / spanNs;
  }
  return { fromMs: before.atMs, toMs: now.atMs, cores, waited };
}

function linesOf(samples: readonly Sample[], slowest: readonly Moment[]): readonly string[] {
  const weights = samples.map(
    ({ fromMs, toMs }) => slowest.filter((one) => one.fromMs < toMs && one.toMs > fromMs).length,
  );
  if (weights.every((weight) => weight === 0)) return [];
  const meanOf = (of: (sample: Sample) => number, weightOf: (index: number) => number): number => {
    let [sum, all] = [0, 0];
    for (const [index, sample] of samples.entries()) {
      const weight = (sample.toMs - sample.fromMs) * weightOf(index);
      sum += of(sample) * weight;
      all += weight;
    }
    return sum / all;
  };
  const both = (of: (sample: Sample) => number): readonly [number, number] => [
    meanOf(of, (index) => weights[index] ?? 0),
    meanOf(of, () => 1),
  ];
  const names = new Set(samples.flatMap(({ cores }) => [...cores.keys()]));
  const shown = [...names]
    .map((name) => ({ name, at: both(({ cores }) => cores.get(name) ?? 0) }))
    .filter(({ at }) => Math.max(...at) >= SHOWN_MIN)
    .toSorted((a, b) => b.at[0] - b.at[1] - (a.at[0] - a.at[1]))
    .map(({ name, at }) => `${name} ${at[0].toFixed(2)} (${at[1].toFixed(2)})`);
  const [slow, usual] = both(({ waited }) => waited);
  return [
    `the slowest percent, ${slowest.length} of them, came in ${clumpsOf(slowest)} clumps`,
    `cores while they were under way, and (in all): ${shown.join(", ")}`,
    `${BROKER} was ready and waited for a core ${slow.toFixed(2)} of that time (${usual.toFixed(2)})`,
  ];
}

function clumpsOf(moments: readonly Moment[]): number {
  const begun = moments.map(({ fromMs }) => fromMs).toSorted((a, b) => a - b);
  return begun.filter((at, index) => index === 0 || at - (begun[index - 1] ?? at) > APART_MS)
    .length;
}
