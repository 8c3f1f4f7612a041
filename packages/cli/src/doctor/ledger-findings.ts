import { checkServer, type Ledger } from "@mayfly/postgres";
import type { BackendId } from "@mayfly/spec";
import { withLedger } from "../local/with-ledger.ts";
import { durationText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import { bad, good, looked, skipped, type Finding } from "./finding.ts";

/** The default of MAYFLY_SWEEP_INTERVAL_SECONDS, twice: after it issuing stops. */
const SWEEP_AGE_SECONDS_MAX = 20;

/** The ledger's server, and when sweeps came by; with the database's URL alone. */
export async function ledgerFindings(session: Session): Promise<readonly Finding[]> {
  const { databaseUrl } = session.settings();
  if (databaseUrl === null) {
    const todo = "Set MAYFLY_DATABASE_URL to look at the database too.";
    return [skipped("ledger", "MAYFLY_DATABASE_URL is not set", todo)];
  }
  const url = databaseUrl.expose("upstream");
  const server = await looked("ledger", () => serverFindings(session, url));
  const sweeps = await looked("sweep", () =>
    withLedger(session, url, (ledger) => sweepFindings(ledger)),
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

async function sweepFindings(ledger: Ledger): Promise<readonly Finding[]> {
  const { backends } = await ledger.catalog.snapshot();
  const [first] = backends;
  if (first === undefined) return [skipped("sweep", "no backend is registered yet")];
  const { sweepAgeSeconds } = await ledger.health.read(first.id);
  const findings = [sweepFinding(sweepAgeSeconds)];
  for (const { id } of backends) findings.push(...(await listingFindings(ledger, id)));
  return findings;
}

function sweepFinding(ageSeconds: number | null): Finding {
  const todo = "Start a worker, or read its log; no credential is issued until it sweeps.";
  if (ageSeconds === null) return bad("sweep", "no sweep has ever finished", todo);
  const text = `the last sweep finished ${durationText(ageSeconds * 1_000)} ago`;
  return ageSeconds > SWEEP_AGE_SECONDS_MAX ? bad("sweep", text, todo) : good("sweep", text);
}

async function listingFindings(ledger: Ledger, id: BackendId): Promise<readonly Finding[]> {
  const { listingAgeSeconds } = await ledger.health.read(id);
  const check = `listing of ${id}`;
  if (listingAgeSeconds !== null) {
    return [good(check, `finished ${durationText(listingAgeSeconds * 1_000)} ago`)];
  }
  const todo = "A worker lists each backend; if it runs, its log says what hinders it.";
  return [bad(check, "has never finished: orphans there are not seen", todo)];
}
