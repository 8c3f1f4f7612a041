import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  openRetention,
  verifyExport,
  type Retention,
  type RetentionCut,
  type RetentionPlan,
} from "@mayfly/postgres";
import { readMigrateSettings } from "@mayfly/settings";
import { CliError, configError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import { exportedLines } from "../ledger-files/exported-lines.ts";
import { codeOf } from "../ledger-files/system-code.ts";
import type { Session } from "../session.ts";

export interface RetainOptions {
  readonly keepMonths: number;
  readonly folder: string;
  readonly dryRun: boolean;
  readonly yes: boolean;
}

/** The first line of each file is shorter. */
const HEADER_CHARACTERS = 1024;

async function withRetention<T>(session: Session, use: (retention: Retention) => Promise<T>) {
  const { clock, random, environment } = session.io;
  const settings = readMigrateSettings(environment, (path) => readFileSync(path, "utf8"));
  const url = settings.databaseUrl.expose("upstream");
  const retention = await openRetention({ url, clock, random });
  try {
    return await use(retention);
  } finally {
    await retention.close();
  }
}

/** Exports old months, cuts the log after them and detaches them; goes on after a crash. */
export const retainLedger = (session: Session, options: RetainOptions): Promise<void> =>
  withRetention(session, async (retention) => {
    const plan = await retention.plan(options.keepMonths);
    showPlan(session, plan);
    if (options.dryRun) {
      if (session.json) session.record(planJson(plan));
      return;
    }
    const steps = [
      ...(plan.cut === null ? [] : [`exports ${plan.cut.months.join(", ")} to ${options.folder}`]),
      "takes exported months out of their tables; nothing is dropped",
    ];
    await session.confirm(steps, options.yes);
    const files = plan.cut === null ? null : await cutAfter(retention, plan, plan.cut, options);
    const detached = await retention.detach();
    if (session.json) session.record({ ...planJson(plan), files, detached });
    for (const table of detached) session.note(`✓ detached ${table}`);
    if (detached.length === 0) session.note("Nothing was to be detached.");
  });

/** Drops for good what was detached. */
export const dropRetained = (session: Session, yes: boolean): Promise<void> =>
  withRetention(session, async (retention) => {
    const plan = ["drops for good all tables that were detached: be sure of the exported files"];
    await session.confirm(plan, yes);
    const dropped = await retention.drop();
    if (session.json) return session.record({ dropped });
    for (const table of dropped) session.note(`✓ dropped ${table}`);
    if (dropped.length === 0) session.note("Nothing was to be dropped.");
  });

interface CutFiles {
  readonly log: string;
  readonly rows: string;
}

async function cutAfter(
  retention: Retention,
  plan: RetentionPlan,
  cut: RetentionCut,
  { folder }: RetainOptions,
): Promise<CutFiles> {
  const range = `${inOrder(plan.from)}-${inOrder(cut.logIndex)}`;
  const files = {
    log: join(folder, `ledger-${range}.ndjson`),
    rows: join(folder, `rows-${range}.ndjson`),
  };
  const logSha256 = await writeFileOnce(files.log, logPieces(retention, plan.from, cut.logIndex));
  const verified = await verifyExport(exportedLines([files.log]), {
    before: plan.beforeSha256,
    head: cut.chainSha256,
    installation: null,
  });
  if (!verified.ok) throw notVerified(`${files.log}:${verified.line}`, verified.problem);
  const rowsSha256 = await writeFileOnce(files.rows, retention.rowLines(cut));
  await retention.record(cut, { logSha256, rowsSha256 });
  return files;
}

/** So that the shell's `*` names the files of many cuts as they follow each other. */
const inOrder = (index: number): string => String(index).padStart(12, "0");

/** In one file, whatever its length. */
async function* logPieces(retention: Retention, from: number, until: number) {
  yield* (await retention.exporter.open(from, until - from)).pages();
}

/** Whole or not there: under another name until it was read back. Answers its SHA-256. */
async function writeFileOnce(path: string, pieces: AsyncIterable<string>): Promise<string> {
  const partial = `${path}.partial`;
  const written = createHash("sha256");
  try {
    const file = await open(partial, "w", 0o600);
    try {
      let isFirst = true;
      for await (const piece of pieces) {
        if (isFirst) await mustBeOurs(path, piece);
        isFirst = false;
        written.update(piece);
        await file.writeFile(piece);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    const readBack = createHash("sha256");
    for await (const chunk of createReadStream(partial)) readBack.update(chunk as Buffer);
    const digest = written.digest("hex");
    if (readBack.digest("hex") !== digest) {
      throw notVerified(partial, "what is read back is not what was written");
    }
    await rename(partial, path);
    await syncFolder(dirname(path));
    return digest;
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    const todo = "Give --to a folder that exists, with room, that this user may write.";
    throw configError(`The file cannot be written (${codeOf(error)}).`, partial, todo);
  }
}

/** The name is durable too before anything is cut. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

const installationIn = (text: string): string | undefined =>
  /"installation":\s*"([^"]*)"/.exec(text.slice(0, HEADER_CHARACTERS))?.[1];

/** An interrupted run of this ledger is written over; another one's file may be its only copy. */
async function mustBeOurs(path: string, header: string): Promise<void> {
  const there = await readBeginning(path);
  if (there === null || installationIn(there) === installationIn(header)) return;
  const todo = "Give --to a folder of its own for each ledger.";
  throw configError("There is a file of another ledger by that name already.", path, todo);
}

async function readBeginning(path: string): Promise<string | null> {
  let file;
  try {
    file = await open(path, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_CHARACTERS));
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

const notVerified = (where: string, why: string): CliError =>
  new CliError({
    code: "check_failed",
    what: "The exported file does not verify; nothing was cut.",
    where,
    why,
    todo: "Run: mayfly ledger verify",
    exit: EXIT.found,
  });

const planJson = ({ from, cut, kept }: RetentionPlan) => ({
  from,
  until: cut?.logIndex ?? from,
  months: [...(cut?.months ?? [])],
  kept,
});

function showPlan(session: Session, { from, cut, kept }: RetentionPlan): void {
  if (session.json || session.quiet) return;
  if (cut === null) session.text("no month leaves\n");
  else {
    const entries = `entries ${from} to ${cut.logIndex - 1}`;
    session.text(`${cut.months.length} months leave: ${cut.months.join(", ")} (${entries})\n`);
  }
  if (kept !== null) session.text(`${kept.month} and what is newer stays: ${kept.why}\n`);
}
