import { Option, type Command } from "commander";
import type { ExportVerification } from "@mayfly/postgres";
import { readAnswer, verificationAnswer, type VerificationAnswer } from "../api/answers.ts";
import type { JsonObject, LogVerification, Secret } from "@mayfly/spec";
import { usageError, type CliError } from "../cli-error.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { cleanText } from "../render/clean-text.ts";
import { exportedLines } from "../ledger-files/exported-lines.ts";
import {
  brokerSource,
  databaseSource,
  exportLog,
  type Exported,
  type RangeSource,
} from "../ledger-files/export-log.ts";
import { addEraseCommands } from "./erase-commands.ts";
import { followLog } from "../ledger-files/follow-log.ts";
import { examples } from "./examples.ts";

const WAYS = ["database", "broker"] as const;

type Way = (typeof WAYS)[number];
interface VerifyOptions {
  readonly from?: number;
  readonly via?: Way;
  readonly fromHead?: string;
  readonly toHead?: string;
  readonly installation?: string;
}
interface ExportFlags {
  readonly from: number;
  readonly limit?: number;
  readonly follow?: true;
  readonly output?: string;
  readonly via?: Way;
}

export const ledgerCommands: CommandSet = (program, open) => {
  const ledger = program.command("ledger").description("the evidence");
  ledger
    .command("verify [files...]")
    .description("recompute the log's hash chain, or that of exported files; ends with 1 if broken")
    .option("--from <n>", "from this entry of the log on", parseIndex)
    .addOption(viaOption())
    .option("--from-head <sha256>", "of files: the hash before their first entry", parseHash)
    .option("--to-head <sha256>", "of files: the hash of their last entry", parseHash)
    .option("--installation <id>", "of files: whose log it is to be")
    .addHelpText(
      "after",
      `
With MAYFLY_DATABASE_URL it reads the database itself and trusts no broker; the URL may be that of
mayfly_auditor, mayfly_broker or mayfly_worker. Otherwise the broker verifies. With files (or - for
standard input) it needs neither: they are read in the order given, as one log.
${examples(
  "mayfly ledger verify",
  "mayfly ledger verify --from 18201 --via broker --json",
  "mayfly ledger verify october.ndjson november.ndjson",
)}`,
    )
    .action(async (files: readonly string[], options: VerifyOptions, command: Command) => {
      const session = open(command);
      if (files.length > 0) return verifyFiles(session, files, options);
      const known = [options.fromHead, options.toHead, options.installation];
      if (known.some((each) => each !== undefined)) {
        const todo = "Name the exported files, or leave it out.";
        throw usageError("What to compare with is for exported files.", todo, "--from-head");
      }
      const from = options.from ?? 0;
      const result = await verify(session, { ...options, from });
      if (!result.ok || result.warning !== null) session.found();
      if (session.json) session.record(result);
      else showResult(session, result, from);
    });
  ledger
    .command("export")
    .description("the log as newline-delimited JSON, with all that it takes to verify it offline")
    .option("--from <n>", "from this entry on: where an earlier export ended", parseIndex, 0)
    .option("--limit <n>", "at most so many entries", parseLimit)
    .addOption(
      new Option("--follow", "then what comes, until Ctrl-C or SIGTERM").conflicts("limit"),
    )
    .option("--output <file>", "a new file, mode 0600; without, standard output")
    .addOption(viaOption())
    .addHelpText(
      "after",
      `
With MAYFLY_DATABASE_URL it reads the database, as mayfly_auditor for instance; otherwise the broker
exports. It ends where the log ended when it began; with --follow it looks for new entries each
second, waits for a broker or database that is away, and ends with 0 when it is told to stop. It
writes what verifies alone, and says where the next one begins. The format: docs/ledger-export.md.
${examples(
  "mayfly ledger export --output 2026-11.ndjson",
  "mayfly ledger export --from 18201 | gzip > rest.ndjson.gz",
  "mayfly ledger export --follow --from 18201 | to-siem",
)}`,
    )
    .action(async (flags: ExportFlags, command: Command) => {
      const session = open(command);
      const output = flags.output ?? null;
      const exported = await runExport(session, flags);
      if (output !== null && session.json) session.record({ ...exported });
      session.note(exportedText(exported));
    });
  addRetain(ledger, open);
  addEraseCommands(ledger, open);
};

function addRetain(ledger: Command, open: (command: Command) => Session): void {
  ledger
    .command("retain")
    .description("take old months out of the ledger: exported, verified, cut, then detached")
    .option("--keep <months>", "whole months that stay before this one: 13mo", parseMonths)
    .option("--to <folder>", "an existing folder for the exported files")
    .option("--dry-run", "say what would leave, and why something stays")
    .option("--drop", "instead: drop for good what was detached before")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      `
Reads MAYFLY_DATABASE_URL, with the rights of \`mayfly migrate\`. A month with a live lease or an
active task stays, and all after it. Interrupted, it goes on: docs/runbooks/retention.md.
${examples(
  "mayfly ledger retain --keep 13mo --dry-run",
  "mayfly ledger retain --keep 13mo --to /archive/mayfly",
  "mayfly ledger retain --drop",
)}`,
    )
    .action(async (flags: RetainFlags, command: Command) => {
      const session = open(command);
      const { keep, to = null, drop, dryRun, yes } = flags;
      const { dropRetained, retainLedger } = await import("../local/retain-ledger.ts");
      if (drop === true) return dropRetained(session, yes === true);
      if (keep === undefined || (to === null && dryRun !== true)) {
        const todo = "Give --keep 13mo --to <folder>, or --keep 13mo --dry-run, or --drop.";
        throw usageError("Say how much stays, and where what leaves goes.", todo, "--keep");
      }
      const options = { keepMonths: keep, folder: to ?? "", dryRun: dryRun === true };
      await retainLedger(session, { ...options, yes: yes === true });
    });
}

interface RetainFlags {
  readonly keep?: number;
  readonly to?: string;
  readonly drop?: true;
  readonly dryRun?: true;
  readonly yes?: true;
}

function parseMonths(text: string): number {
  const months = /^([1-9]\d{0,2})mo$/.exec(text)?.[1];
  if (months !== undefined) return Number(months);
  throw usageError("--keep takes whole months.", "Give a number from 1 and mo: 13mo.", text);
}

const viaOption = (): Option =>
  new Option("--via <way>", "without, the database if its URL is set").choices(WAYS);

/** The database if its URL is set, unless it was said. */
function wayOf(session: Session, via: Way | undefined): { way: Way; url: Secret | null } {
  const { databaseUrl: url } = session.settings();
  return { way: via ?? (url === null ? "broker" : "database"), url };
}

const noUrl = (): CliError =>
  usageError(
    "The database's URL is not set.",
    "Set MAYFLY_DATABASE_URL, or give --via broker.",
    "MAYFLY_DATABASE_URL",
  );

async function runExport(session: Session, flags: ExportFlags): Promise<Exported> {
  const { way, url } = wayOf(session, flags.via);
  const { from, limit = null, output = null } = flags;
  const run = (source: RangeSource): Promise<Exported> =>
    flags.follow === true
      ? followLog(session, source, { from, output })
      : exportLog(session, source, { from, limit, output });
  switch (way) {
    case "broker":
      return run(brokerSource(session));
    case "database": {
      if (url === null) throw noUrl();
      const { withLedger } = await import("../local/with-ledger.ts");
      return withLedger(session, url.expose("upstream"), (ledger) =>
        run(databaseSource(ledger.exporter)),
      );
    }
  }
}

const exportedText = ({ from, until, head_hash: head }: Exported): string => {
  const entries =
    until === from ? `no entry from ${from} on` : `entries ${from} to ${until - 1} exported`;
  const lines = [entries, ...(head === null ? [] : [`  head ${head}`])];
  return [...lines, `  go on with: mayfly ledger export --from ${until}`].join("\n");
};

async function verifyFiles(
  session: Session,
  files: readonly string[],
  options: VerifyOptions,
): Promise<void> {
  if (options.from !== undefined || options.via !== undefined) {
    const todo = "Leave --from and --via out, or the files.";
    throw usageError("Files say themselves where they begin.", todo, files.join(" "));
  }
  const { verifyExport } = await import("@mayfly/postgres");
  const result = await verifyExport(exportedLines(files), {
    before: options.fromHead ?? null,
    head: options.toHead ?? null,
    installation: options.installation ?? null,
  });
  if (!result.ok || result.unvouched > 0) session.found();
  if (session.json) return session.record(filesRecord(result));
  showFiles(session, result, options.fromHead !== undefined);
}

function filesRecord(result: ExportVerification): JsonObject {
  if (!result.ok) {
    const { logIndex, ...rest } = result;
    return { ...rest, log_index: logIndex };
  }
  const { beforeSha256, headSha256, isInstallationVouched, ...rest } = result;
  const hashes = { before_sha256: beforeSha256, head_sha256: headSha256 };
  return { ...rest, installation_vouched: isInstallationVouched, ...hashes };
}

function showFiles(session: Session, result: ExportVerification, isAnchored: boolean): void {
  const { paint } = session;
  if (!result.ok) {
    const place = cleanText(`${result.file}:${result.line}`);
    session.text(`${paint.red("✗")} ${place}  ${cleanText(result.problem)}\n`);
    session.note("Keep the file as it is, and export the same entries again to compare.");
    return;
  }
  const { from, until, installation, headSha256, beforeSha256, unvouched } = result;
  const range = until === from ? `none from ${from} on` : `${from} to ${until - 1}`;
  session.detail(
    `${paint.green("✓")} ${(until - from).toLocaleString("en-US")} entries verified: ${range}, ` +
      `of installation ${cleanText(installation)}\n`,
  );
  session.note(`  head ${headSha256}`);
  if (unvouched > 0) {
    session.text(
      `${paint.red("!")} ${unvouched} erased entries are vouched for by later entries than these: ` +
        "verify them together with the files that follow\n",
    );
  }
  if (!result.isInstallationVouched) {
    session.note("  whose log it is says the header alone: compare it with --installation");
  }
  if (from > 0 && !isAnchored) {
    session.note(`  before them ${beforeSha256}, as the file says: compare it with --from-head`);
  }
}

async function verify(
  session: Session,
  options: { readonly from: number; readonly via?: Way },
): Promise<VerificationAnswer> {
  const { way, url } = wayOf(session, options.via);
  switch (way) {
    case "broker": {
      const body = { from: options.from };
      const answer = await session.api().send("POST", "/v1/ledger/verify", body);
      return readAnswer(verificationAnswer, answer);
    }
    case "database": {
      if (url === null) throw noUrl();
      const { withLedger } = await import("../local/with-ledger.ts");
      const result = await withLedger(session, url.expose("upstream"), (ledger) =>
        ledger.sequencer.verify(options.from),
      );
      return answerOf(result);
    }
  }
}

/** As the broker answers it. */
function answerOf(result: LogVerification): VerificationAnswer {
  if (!result.ok) return { ok: false, log_index: result.logIndex, problem: result.problem };
  const { headSha256, oldestPendingSeconds, ...rest } = result;
  return { ...rest, head_sha256: headSha256, oldest_pending_seconds: oldestPendingSeconds };
}

function showResult(session: Session, result: VerificationAnswer, from: number): void {
  const { paint } = session;
  if (!result.ok) {
    session.text(`${paint.red("✗")} broken at entry ${result.log_index}: ${result.problem}\n`);
    session.note("Keep the database as it is, and compare it with a backup or an exported log.");
    return;
  }
  const entries = result.entries.toLocaleString("en-US");
  const first = result.from ?? from;
  const range = first === 0 ? "" : ` from ${first.toLocaleString("en-US")} on`;
  const pending = result.pending === 0 ? "" : `, ${result.pending} events wait for their place`;
  session.detail(`${paint.green("✓")} ${entries} entries${range} verified${pending}\n`);
  session.note(`  head ${result.head_sha256}`);
  if (result.warning !== null) session.text(`${paint.red("!")} ${result.warning}\n`);
}

function parseIndex(text: string): number {
  const index = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(index)) return index;
  throw usageError("--from takes the number of an entry, from 0.", "Give a whole number.", text);
}

function parseLimit(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw usageError("--limit takes a number of entries, from 1.", "Give a whole number.", text);
}

function parseHash(text: string): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  const todo = "Give the `head` that an earlier verification or export showed.";
  throw usageError("That is no SHA-256: 64 lowercase hex digits.", todo, text);
}
