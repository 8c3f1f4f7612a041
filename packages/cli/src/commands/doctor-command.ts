import type { Command } from "commander";
import { brokerFindings } from "../doctor/broker-findings.ts";
import type { Finding } from "../doctor/finding.ts";
import { cleanText } from "../render/clean-text.ts";
import type { Session } from "../session.ts";
import type { CommandSet } from "./command-set.ts";
import { examples } from "./examples.ts";

export const doctorCommand: CommandSet = (program, open) => {
  program
    .command("doctor")
    .description("look for a wrong set-up, and say what to do; ends with 1 if there is one")
    .addHelpText(
      "after",
      `
Looks at the broker (--url) and its public URL; with the administrator's token at clocks, sweeps,
leases, the log, policies, sealing keys, trust roots and backends; with MAYFLY_DATABASE_URL at the
ledger's server, schema and rights; with MAYFLY_SEALING_KEY_FILE at the key file; with
MAYFLY_REDIS_URL at the queue's Redis. What it cannot look at, it says.
${examples("mayfly doctor", "mayfly doctor --json | jq 'select(.result == \"bad\")'")}`,
    )
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const { ledgerFindings } = await import("../doctor/ledger-findings.ts");
      const broker = await brokerFindings(session);
      const withSweeps = broker.every(({ check }) => check !== "sweep");
      const { keyFileFindings } = await import("../doctor/key-findings.ts");
      const { redisFindings } = await import("../doctor/queue-findings.ts");
      const hasToken = session.settings().adminToken !== null || session.hasTokenFile;
      const findings = [
        ...(await ledgerFindings(session, withSweeps)),
        ...(await redisFindings(session)),
        ...(await keyFileFindings(session, hasToken ? session.api() : null)),
        ...broker,
      ];
      if (findings.some(({ result }) => result === "bad")) session.found();
      const width = Math.max(...findings.map(({ check }) => check.length));
      for (const finding of findings) show(session, finding, width);
    });
};

function show(session: Session, finding: Finding, width: number): void {
  const { paint } = session;
  if (session.json) return session.record(finding);
  if (session.quiet && finding.result !== "bad") return;
  const signs = {
    good: paint.green("✓"),
    bad: finding.severity === "warning" ? paint.yellow("!") : paint.red("✗"),
    skipped: paint.yellow("-"),
  };
  const text = `${cleanText(finding.check).padEnd(width)} ${cleanText(finding.text)}`;
  session.text(`${signs[finding.result]} ${text}\n`);
  if (finding.why !== null) session.text(`  ${"".padEnd(width)} ${cleanText(finding.why)}\n`);
  if (finding.todo !== null) session.text(`  ${"".padEnd(width)} ${cleanText(finding.todo)}\n`);
}
