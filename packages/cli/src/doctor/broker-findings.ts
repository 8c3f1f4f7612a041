import {
  backendAnswer,
  checkAnswer,
  countsAnswer,
  leaseAnswer,
  listAnswer,
  pageAnswer,
  policiesAnswer,
  rawAnswer,
  readAnswer,
} from "../api/answers.ts";
import type { BrokerApi } from "../api/broker-api.ts";
import { durationText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import { bad, good, looked, skipped, type Finding } from "./finding.ts";
import { sweepFindings } from "./sweep-findings.ts";

const STUCK_SHOWN_MAX = 20;

/** What the broker says of itself, of stuck leases, of policy and of its backends. */
export async function brokerFindings(session: Session): Promise<readonly Finding[]> {
  const api = session.api();
  const alive = await api.probe("/healthz");
  if (alive !== 200) {
    const text = alive === null ? "does not answer" : `answers /healthz with ${alive}`;
    return [bad("broker", `${api.url} ${text}`, "Start it, or name another with --url.")];
  }
  const ready = await api.probe("/readyz");
  const findings: Finding[] = [
    ready === 200
      ? good("broker", `${api.url} is ready`)
      : bad(
          "broker",
          `${api.url} is not ready`,
          "It cannot read its ledger: see below, and its log.",
        ),
  ];
  if (session.settings().adminToken === null && !session.hasTokenFile) {
    const todo = "Set MAYFLY_ADMIN_TOKEN to look at leases, policies and backends too.";
    return [...findings, skipped("backends", "no administrator's token is given", todo)];
  }
  findings.push(...(await looked("leases", () => leaseFindings(api))));
  findings.push(...(await looked("policies", () => policyFindings(api))));
  findings.push(...(await looked("backends", () => backendFindings(api))));
  return findings;
}

async function leaseFindings(api: BrokerApi): Promise<readonly Finding[]> {
  const counts = readAnswer(countsAnswer, await api.get("/v1/ledger/counts"));
  const { leases_overdue: overdue, oldest_due_seconds: oldest } = counts;
  const rounds = {
    sweepAgeSeconds: counts.sweep_age_seconds,
    backends: counts.backends.map((each) => ({
      id: each.backend,
      leasesStuck: each.leases_stuck,
      listingAgeSeconds: each.listing_age_seconds,
    })),
  };
  const text =
    overdue === 0
      ? "none is overdue"
      : `${overdue} overdue, the oldest by ${durationText(oldest * 1_000)}`;
  const late = "Is a worker running? `mayfly lease list --exposed` shows which they are.";
  const findings: Finding[] = [
    ...sweepFindings(rounds),
    overdue > 0 && oldest > 60 ? bad("leases", text, late) : good("leases", text),
  ];
  const query = { state: "stuck", limit: String(STUCK_SHOWN_MAX) };
  const page = rawAnswer(pageAnswer, await api.get("/v1/leases", query));
  for (const item of page.items) {
    const lease = readAnswer(leaseAnswer, item);
    const text = `${lease.id} at ${lease.backend}: ${lease.last_error ?? "no reason recorded"}`;
    const todo = `Mend ${lease.backend}; the lease is retried for ever and then ends by itself.`;
    findings.push(bad("stuck", text, todo));
  }
  if (page.next !== null) {
    findings.push(bad("stuck", "there are more", "mayfly lease list --state stuck --all"));
  }
  if (page.items.length === 0) findings.push(good("stuck", "no lease is stuck"));
  return findings;
}

async function policyFindings(api: BrokerApi): Promise<readonly Finding[]> {
  const { digest, sources } = readAnswer(policiesAnswer, await api.get("/v1/policies"));
  if (digest === null) {
    return [
      bad("policies", "none is active: everything is denied", "mayfly policy activate FOLDER"),
    ];
  }
  return [good("policies", `policies@${digest.slice(0, 8)}, ${sources.length} files`)];
}

async function backendFindings(api: BrokerApi): Promise<readonly Finding[]> {
  const { items } = rawAnswer(listAnswer, await api.get("/v1/backends"));
  if (items.length === 0) {
    return [skipped("backends", "none is registered", "mayfly backend put FILE")];
  }
  const findings: Finding[] = [];
  for (const item of items) {
    const { id, enabled } = readAnswer(backendAnswer, item);
    findings.push(...(await looked(`backend ${id}`, () => backendFinding(api, id, enabled))));
  }
  return findings;
}

async function backendFinding(
  api: BrokerApi,
  id: string,
  enabled: boolean,
): Promise<readonly Finding[]> {
  const answer = await api.send("POST", `/v1/backends/${encodeURIComponent(id)}/test`);
  const check = readAnswer(checkAnswer, answer);
  const name = `backend ${id}`;
  if (check.problems.length === 0) {
    return [good(name, enabled ? "has all that it needs" : "has all that it needs; disabled")];
  }
  return check.problems.map(({ what, fix }) => bad(name, what, fix));
}
