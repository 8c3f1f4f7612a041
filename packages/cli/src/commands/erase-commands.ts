import type { Command } from "commander";
import { usageError } from "../cli-error.ts";
import type { Session } from "../session.ts";
import { examples } from "./examples.ts";

interface EraseFlags {
  readonly initiator?: string;
  readonly workload?: string;
  readonly reason?: string;
  readonly dryRun?: true;
  readonly yes?: true;
}

/** Below `ledger`: what the migrator does to the history beside retention. */
export function addEraseCommands(ledger: Command, open: (command: Command) => Session): void {
  ledger
    .command("erase")
    .description("take one person's values out of the ledger; the log still verifies")
    .option("--initiator <name>", "of tasks on this person's behalf, verified or claimed")
    .option("--workload <name>", "of tasks of this workload: SPIFFE ID, or <issuer>#<subject>")
    .option("--reason <text>", "for the log, without a name: the number of the request")
    .option("--dry-run", "say what would be erased, and erase nothing")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      `
Reads MAYFLY_DATABASE_URL, with the rights of \`mayfly migrate\`. Of tasks of the person, and of all
tasks below them, whatever may be about a person becomes [erased]; elsewhere, values that are the
name itself. What is not over yet stays and is counted, and the command ends with 1: run it again.
Interrupted, it goes on with the same options: docs/runbooks/erasing-one-person.md.
${examples(
  "mayfly ledger erase --initiator alice@example.com --dry-run",
  'mayfly ledger erase --initiator alice@example.com --reason "request 2026-117" --yes',
)}`,
    )
    .action(async (flags: EraseFlags, command: Command) => {
      const session = open(command);
      const { initiator, workload, reason = null, dryRun, yes } = flags;
      const name = initiator ?? workload;
      if (name === undefined || (initiator !== undefined && workload !== undefined)) {
        const todo = "Give --initiator or --workload, one of the two.";
        throw usageError("Say whose values are to go.", todo, "--initiator");
      }
      if (reason === null && dryRun !== true) {
        const todo = "Give --reason, without the name, or --dry-run.";
        throw usageError("Say for the log why.", todo, "--reason");
      }
      const { erasePerson } = await import("../local/erase-person.ts");
      await erasePerson(session, {
        selector: { by: initiator === undefined ? "workload" : "initiator", name },
        reason: dryRun === true ? null : reason,
        yes: yes === true,
      });
    });
  ledger
    .command("salt")
    .description("salt the hashes of the log from now on: when no earlier version runs any more")
    .option("--yes", "do not ask")
    .addHelpText(
      "after",
      `
Reads MAYFLY_DATABASE_URL, with the rights of \`mayfly migrate\`. The last step of an upgrade to the
first version that can erase (docs/runbooks/upgrade.md); an installation made by it is salted from
its first entry. Done already, it changes nothing.
${examples("mayfly ledger salt --yes")}`,
    )
    .action(async ({ yes }: { readonly yes?: true }, command: Command) => {
      const { saltLedger } = await import("../local/erase-person.ts");
      await saltLedger(open(command), yes === true);
    });
}
