/**
 * `npm run bench -- [--only NAME,…] [--rounds N] [--seconds N] [--json]
 * [--write]`: the targets of
 * `docs/benchmarks.md`, each as a ratio of two things that were measured in turn in this run. Told
 * to stop, it measures no more, ends its servers, and ends with 130 or 143.
 */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { systemClock } from "@mayfly/host";
import { watchStop, wholeNumber } from "../harness/index.ts";
import {
  isMet,
  jsonTarget,
  reaches,
  shownTarget,
  type BenchRow,
  type RowResult,
} from "./bench-row.ts";
import { benchmarksPage } from "./benchmarks-page.ts";
import { openWorld, type BenchWorld } from "./bench-world.ts";
import { openProgress } from "./progress.ts";
import { readMeasuredRows, writeMeasuredRows } from "./measured-rows.ts";
import { ROWS } from "./rows.ts";

const USAGE = `usage: npm run bench -- [--only NAME,…] [--rounds N] [--seconds N] [--json] [--write]
rows: ${ROWS.map(({ name }) => name).join(", ")}`;

function optionsOf(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "10" },
      json: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
  });
  const names = values.only?.split(",") ?? ROWS.map(({ name }) => name);
  const rows = names.map((name) => {
    const row = ROWS.find((one) => one.name === name);
    if (row === undefined) throw new Error(`--only: there is no row ${name}`);
    return row;
  });
  const { json, write } = values;
  const rounds = wholeNumber("rounds", values.rounds, 100);
  const seconds = wholeNumber("seconds", values.seconds, 600);
  return { rows, rounds, seconds, json, write };
}

interface Told {
  readonly row: BenchRow;
  readonly result: RowResult;
}

function tell({ row, result }: Told): void {
  const { target } = row;
  const met = isMet(target, result);
  const [least, most] = result.spread;
  process.stdout.write(
    `${met ? "met   " : "MISSED"} ${row.name}: ${result.ratio.toFixed(3)} ` +
      `(${least.toFixed(3)} to ${most.toFixed(3)}), wanted ${shownTarget(target)}\n` +
      `       ${row.title}\n`,
  );
  for (const { name, ratio, target: further } of result.also ?? []) {
    const verdict = reaches(further, ratio) ? "met" : "MISSED";
    const wanted = shownTarget(further);
    process.stdout.write(`       ${verdict}, ${name}: ${ratio.toFixed(3)}, wanted ${wanted}\n`);
  }
  for (const fact of result.facts) process.stdout.write(`       ${fact}\n`);
  for (const broken of result.broken) process.stdout.write(`       BROKEN ${broken}\n`);
}

const DOCS = join(import.meta.dirname, "../../docs");
const MEASURED = join(DOCS, "benchmarks.json");

/** After each row: what was measured is not lost with the row after it. */
async function write(
  { row, result }: Told,
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
  world: BenchWorld,
): Promise<void> {
  const [cpu] = cpus();
  const measured = {
    date: new Date().toISOString().slice(0, 10),
    machine:
      `${cpus().length} × ${cpu?.model.trim() ?? "unknown"}, ` +
      `${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`,
    node: process.version,
    postgres: world.postgresVersion,
    queue: world.redisUrl === null ? "BullMQ on PostgreSQL" : "BullMQ on Redis",
    rounds,
    seconds,
    result,
  };
  const rows = { ...(await readMeasuredRows(MEASURED)), [row.name]: measured };
  await writeMeasuredRows(MEASURED, rows);
  await writeFile(join(DOCS, "benchmarks.md"), benchmarksPage(ROWS, rows));
}

async function main(): Promise<number> {
  let options: ReturnType<typeof optionsOf>;
  try {
    options = optionsOf(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : ""}\n${USAGE}\n`);
    return 64;
  }
  using watch = watchStop();
  const { told, failed } = await measure(options, watch.signal);
  const stopped = watch.told();
  if (stopped !== null) {
    const names = told.map(({ row }) => row.name).join(", ");
    process.stderr.write(
      `bench: stopped by ${stopped.by} before its end; of ${options.rows.length} rows ` +
        `${told.length} were measured${names === "" ? "" : `: ${names}`}\n`,
    );
    // What is still at work in a row that was cut short is not waited for.
    process.exit(stopped.exitCode);
  }
  const targets = told.map(({ row, result }) => jsonTarget(row, result));
  if (options.json) process.stdout.write(`${JSON.stringify({ targets })}\n`);
  return failed === 0 ? 0 : 1;
}

/** How long a row that was told to stop has to end what it started, before all is ended for it. */
const GRACE_MS = 15_000;

/** What a row came to. Throws when it was told to stop: what was cut short measured nothing. */
async function orStopped<T>(running: Promise<T>, stop: AbortSignal): Promise<T> {
  const stopped = once(stop, "abort").then(() => sleep(GRACE_MS));
  const result = await Promise.race([running, stopped.then(() => undefined)]);
  stop.throwIfAborted();
  if (result === undefined) throw new Error("a row ends with its result");
  return result;
}

async function measure(
  options: ReturnType<typeof optionsOf>,
  stop: AbortSignal,
): Promise<{ readonly told: readonly Told[]; readonly failed: number }> {
  await using progress = openProgress({
    clock: systemClock,
    write: (line) => process.stderr.write(`${line}\n`),
  });
  const say = (line: string): void => progress.say(line);
  await using world = await openWorld({ ...options, say, stop });
  const told: Told[] = [];
  let failed = 0;
  for (const [index, row] of options.rows.entries()) {
    if (stop.aborted) break;
    progress.begin(row.name, `${index + 1} of ${options.rows.length}, ${row.title}`);
    try {
      const result = await orStopped(row.run(world), stop);
      if (result === null) continue;
      told.push({ row, result });
      tell({ row, result });
      if (options.write) await write({ row, result }, options, world);
    } catch (error) {
      if (stop.aborted) break;
      // An hour of other rows is not lost with it.
      failed++;
      process.stdout.write(
        `FAILED ${row.name}: ${error instanceof Error ? error.stack : String(error)}\n`,
      );
    }
  }
  return { told, failed };
}

process.exitCode = await main();
