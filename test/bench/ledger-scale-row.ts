import { durationSeconds, parseBackendId, parsePolicyId, parseRoleName } from "@mayfly/spec";
import type { Ledger } from "@mayfly/postgres";
import { openBenchLedger, type BenchLedger } from "./bench-ledger.ts";
import type { BenchRow, RowResult } from "./bench-row.ts";
import type { BenchWorld } from "./bench-world.ts";
import { interleave, median, quantile } from "./interleave.ts";
import { loadReservations } from "./ledger-load.ts";
import { MAKE_PARTITION, seedLeases } from "./seed-leases.ts";
import { slowestPlan, TELLS_PLANS } from "./slowest-plan.ts";

/** A task, a decision, a lease and an event each. */
const ROWS_OF_A_LEASE = 4;
const ROWS = 10_000_000;
/** For a quick look with `--seconds 1`, which meets no target. */
const ROWS_PER_SECOND_ASKED = 1_000_000;
const LIVE_PART = 100;
const MONTHS = 5;
const BACKENDS = Array.from({ length: 20 }, (_, n) => `db-${n}`);
const WORKLOADS = 1000;
const DUE_MS_MAX = 1;
const QUESTION_MS_MAX = 50;
const ASKED = 100;
const DUE_ASKED = 1000;
const CLIENTS = 64;

export const LEDGER_SCALE: BenchRow = {
  name: "ledger-scale",
  title:
    "a ledger of 10⁷ rows: reservations a second against an empty one; what is due, and what " +
    "security teams ask",
  target: { ratio: 0.9, is: "at_least" },
  run: ledgerScale,
};

async function ledgerScale(world: BenchWorld): Promise<RowResult> {
  const rows = Math.min(ROWS, world.seconds * ROWS_PER_SECOND_ASKED);
  await using empty = await openBenchLedger(world);
  await using big = await openBenchLedger({
    ...world,
    startPostgres: (settings = {}) => world.startPostgres({ ...settings, ...TELLS_PLANS }),
  });
  await using small = await openBenchLedger(world);
  await fill(world, small, rows / 10);
  const before = await askAll(small);
  await fill(world, big, rows);
  const after = await askAll(big);
  const { seconds, rounds } = world;
  const insert = (bench: BenchLedger) =>
    loadReservations(bench.ledger.issue, bench.load, { clients: CLIENTS, leasesEach: 1, seconds });
  const measured = await interleave(
    rounds,
    () => insert(big),
    () => insert(empty),
    (ours, theirs) => ours.perSecond / theirs.perSecond,
  );
  const missed = after.filter(({ p99, most }) => p99 > most);
  const plans: string[] = [];
  for (const { name } of missed) plans.push(...(await plansOf(big, name)));
  return {
    ratio: measured.ratio,
    spread: measured.spread,
    facts: [
      `${median(measured.ours.map((one) => one.perSecond)).toFixed(0)} reservations a second at ` +
        `${rows} rows, ${median(measured.theirs.map((one) => one.perSecond)).toFixed(0)} when empty`,
      `${await sizeOf(big)} on disk at ${rows} rows, over ${MONTHS} months`,
      ...after.map(
        ({ name, p99 }, at) =>
          `${name}: p99 ${p99.toFixed(2)} ms, ${before[at]?.p99.toFixed(2)} ms at a tenth; ` +
          `${extrapolated(before[at]?.p99 ?? p99, p99).toFixed(2)} ms at 10⁸ if that goes on`,
      ),
      ...plans,
    ],
    broken: [
      ...missed.map(
        ({ name, p99, most }) => `${name}: p99 ${p99.toFixed(2)} ms, wanted ≤ ${most} ms`,
      ),
      ...(rows < ROWS ? [`only ${rows} rows`] : []),
    ],
  };
}

/** What ten times the rows make of it, if they add as much again as the last ten times did. */
const extrapolated = (atTenth: number, now: number): number =>
  now <= atTenth ? now : now * (now / atTenth);

async function fill(world: BenchWorld, { superuser }: BenchLedger, rows: number): Promise<void> {
  const leases = Math.floor(rows / ROWS_OF_A_LEASE);
  const fromMs = performance.now();
  await superuser.unsafe(MAKE_PARTITION).simple();
  await seedLeases(superuser, {
    leases,
    live: Math.floor(leases / LIVE_PART),
    months: MONTHS,
    backends: BACKENDS,
    workloads: WORKLOADS,
  });
  world.say(`${rows} rows made in ${((performance.now() - fromMs) / 1000).toFixed(0)} s`);
}

async function sizeOf({ superuser }: BenchLedger): Promise<string> {
  const [row] = await superuser<{ size: string }[]>`
    SELECT pg_size_pretty(pg_database_size(current_database())) AS size`;
  return row?.size ?? "";
}

interface Asked {
  readonly name: string;
  readonly p99: number;
  /** In ms. */
  readonly most: number;
}

async function askAll({ ledger, worker }: BenchLedger): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  for (const [name, times, most, ask] of questions(ledger, worker)) {
    // The first ones plan, and read what is not in memory.
    for (let n = 0; n < 5; n++) await ask(n);
    const took: number[] = [];
    for (let n = 0; n < times; n++) {
      const fromMs = performance.now();
      await ask(n);
      took.push(performance.now() - fromMs);
    }
    asked.push({ name, p99: quantile(took, 0.99), most });
  }
  return asked;
}

/** Where the time of a question went that took too long. */
async function plansOf(big: BenchLedger, wanted: string): Promise<readonly string[]> {
  const lines = await slowestPlan(big.superuser, big.database.name, async () => {
    await using again = await big.openAgain();
    for (const [name, times, , ask] of questions(again.ledger, again.worker)) {
      if (name !== wanted) continue;
      for (let n = 0; n < times; n++) await ask(n);
    }
  });
  return lines.map((line) => `${wanted}: ${line}`);
}

type Question = readonly [string, number, number, (n: number) => Promise<unknown>];

const PAGE = { limit: 100, after: null };
const botOf = (n: number): string => `spiffe://bench.test/agent/bot-${(n * 37) % WORKLOADS}`;

const questions = ({ queries }: Ledger, worker: Ledger): readonly Question[] => {
  const question = (name: string, ask: (n: number) => Promise<unknown>): Question => [
    name,
    ASKED,
    QUESTION_MS_MAX,
    ask,
  ];
  const backendOf = (n: number): string => BACKENDS[n % BACKENDS.length] ?? "";
  return [
    ["which backends have due rows", DUE_ASKED, DUE_MS_MAX, () => worker.sweep.dueBackends()],
    [
      "what is due at one backend",
      DUE_ASKED,
      DUE_MS_MAX,
      (n) => worker.sweep.claim(parseBackendId(backendOf(n), "backend"), 256, durationSeconds(30)),
    ],
    question("who holds what", () => queries.holders({ exposed: true }, PAGE)),
    question("what one workload holds", (n) =>
      queries.holders({ exposed: true, workload: botOf(n) }, PAGE),
    ),
    question("what is held on somebody's behalf", (n) =>
      queries.holders({ exposed: true, initiator: `person-${n}` }, PAGE),
    ),
    question("what is held on a role", (n) =>
      queries.holders(
        { exposed: true, role: parseRoleName(`${backendOf(n)}/reader`, "role") },
        PAGE,
      ),
    ),
    question("what an agent touched", (n) => queries.touched({ workload: botOf(n) }, PAGE)),
    question("what is exposed", (n) => queries.exposure(botOf(n))),
    question("what ended late", () => queries.lateEnds({ overSeconds: 30 }, PAGE)),
    question("what ended late by an hour", () => queries.lateEnds({ overSeconds: 3600 }, PAGE)),
    question("which policies never permitted", () =>
      queries.policyUse("9f".repeat(32), [parsePolicyId("bots-read", "policy")]),
    ),
    question("what changed", () => queries.administration({}, PAGE)),
    question("whose a leaked string is", (n) =>
      queries.byFingerprint(
        Array.from({ length: 50 }, (_, at) => (n * 50 + at).toString(16).padStart(64, "0")),
        100,
      ),
    ),
  ];
};
