import { Option, type Command } from "commander";
import { readAnswer, verificationAnswer, type VerificationAnswer } from "../api/answers.ts";
import { usageError } from "../cli-error.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

const WAYS = ["database", "broker"] as const;

interface VerifyOptions {
  readonly from: number;
  readonly via?: (typeof WAYS)[number];
}

export const ledgerCommands: CommandSet = (program, open) => {
  const ledger = program.command("ledger").description("the evidence");
  ledger
    .command("verify")
    .description("recompute the log's hash chain; ends with 1 if it is broken or stands still")
    .option("--from <n>", "from this entry of the log on", parseIndex, 0)
    .addOption(new Option("--via <way>", "without, the database if its URL is set").choices(WAYS))
    .addHelpText(
      "after",
      `
With MAYFLY_DATABASE_URL it reads the database itself and trusts no broker; the URL may be that of
mayfly_auditor, mayfly_broker or mayfly_worker. Otherwise the broker verifies.
${examples("mayfly ledger verify", "mayfly ledger verify --from 18201 --via broker --json")}`,
    )
    .action(async (options: VerifyOptions, command: Command) => {
      const session = open(command);
      const result = await verify(session, options);
      if (!result.ok || result.warning !== null) session.found();
      if (session.json) session.record(result);
      else showResult(session, result, options.from);
    });
};

async function verify(session: Session, options: VerifyOptions): Promise<VerificationAnswer> {
  const { databaseUrl } = session.settings();
  const via = options.via ?? (databaseUrl === null ? "broker" : "database");
  switch (via) {
    case "broker": {
      const body = { from: options.from };
      const answer = await session.api().send("POST", "/v1/ledger/verify", body);
      return readAnswer(verificationAnswer, answer);
    }
    case "database": {
      if (databaseUrl === null) {
        const todo = "Set MAYFLY_DATABASE_URL, or give --via broker.";
        throw usageError("The database's URL is not set.", todo, "MAYFLY_DATABASE_URL");
      }
      const { withLedger } = await import("../local/with-ledger.ts");
      return withLedger(session, databaseUrl.expose("upstream"), (ledger) =>
        ledger.sequencer.verify(options.from),
      );
    }
  }
}

function showResult(session: Session, result: VerificationAnswer, from: number): void {
  const { paint } = session;
  if (!result.ok) {
    session.text(`${paint.red("✗")} broken at entry ${result.logIndex}: ${result.problem}\n`);
    session.note("Keep the database as it is, and compare it with a backup or an exported log.");
    return;
  }
  const entries = result.entries.toLocaleString("en-US");
  const range = from === 0 ? "" : ` from ${from.toLocaleString("en-US")} on`;
  const pending = result.pending === 0 ? "" : `, ${result.pending} events wait for their place`;
  session.text(`${paint.green("✓")} ${entries} entries${range} verified${pending}\n`);
  session.note(`  head ${result.headSha256}`);
  if (result.warning !== null) session.text(`${paint.red("!")} ${result.warning}\n`);
}

function parseIndex(text: string): number {
  const index = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(index)) return index;
  throw usageError("--from takes the number of an entry, from 0.", "Give a whole number.", text);
}
