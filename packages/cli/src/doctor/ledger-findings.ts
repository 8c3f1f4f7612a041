import { checkSchema, checkServer } from "@mayfly/postgres";
import { withLedger } from "../local/with-ledger.ts";
import type { Session } from "../session.ts";
import { bad, good, looked, skipped, type Finding } from "./finding.ts";
import { sweepFindings } from "./sweep-findings.ts";

/** The ledger's server and, where no broker told, when sweeps came by; with the URL alone. */
export async function ledgerFindings(
  session: Session,
  withSweeps: boolean,
): Promise<readonly Finding[]> {
  const { databaseUrl } = session.settings();
  if (databaseUrl === null) {
    const todo = "Set MAYFLY_DATABASE_URL to look at the database too.";
    return [skipped("ledger", "MAYFLY_DATABASE_URL is not set", todo)];
  }
  const url = databaseUrl.expose("upstream");
  const look = () => serverFindings(session, url);
  const todo = "Start its server, or correct MAYFLY_DATABASE_URL: host, port, user or password.";
  const server = [...(await looked("ledger", look, todo))];
  if (server.every(({ result }) => result === "good") || server.length > 1) {
    const known = new Set(server.map(({ text }) => text));
    const schema = await looked("schema", () => schemaFindings(session, url));
    server.push(...schema.filter(({ text }) => !known.has(text)));
  }
  if (!withSweeps) return server;
  const sweeps = await looked("sweep", async () =>
    sweepFindings(await withLedger(session, url, (ledger) => ledger.queries.counts())),
  );
  return [...server, ...sweeps];
}

async function serverFindings(session: Session, url: string): Promise<readonly Finding[]> {
  const check = await checkServer({ url, clock: session.io.clock });
  const skew = `clock ${Math.round(Math.abs(check.clockSkewMs))} ms from here`;
  return [
    good("ledger", `PostgreSQL ${check.version}, ${skew}`, { ...check.facts }),
    ...check.problems.map(({ what, fix }) => bad("ledger", what, fix)),
  ];
}

/** Where broker and worker look for it. */
const QUEUE_SCHEMA = "mayfly_queue";

async function schemaFindings(session: Session, url: string): Promise<readonly Finding[]> {
  const queueSchema = session.settings().queue === "postgres" ? QUEUE_SCHEMA : null;
  const { version, problems } = await checkSchema({ url, queueSchema });
  if (problems.length > 0) return problems.map(({ what, fix }) => bad("schema", what, fix));
  const queue = queueSchema === null ? "" : ", and the queue";
  return [good("schema", `version ${version ?? 0}; each database role has its rights${queue}`)];
}
