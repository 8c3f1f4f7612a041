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
import type { z } from "zod";
import type { BrokerApi } from "../api/broker-api.ts";
import { durationText } from "../render/time-text.ts";
import type { Session } from "../session.ts";
import { bad, good, looked, skipped, type Finding } from "./finding.ts";
import { sealedFindings } from "./key-findings.ts";
import { readDiagnosis, type Diagnosis } from "./setup-findings.ts";
import { DEFAULT_INTERVALS, sweepFindings, type Intervals } from "./sweep-findings.ts";
import { trustFindings } from "./trust-findings.ts";

const STUCK_SHOWN_MAX = 20;
/** Of a backend's clock from the broker's. */
const SKEW_WARNED_MS = 5_000;

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
  let intervals = DEFAULT_INTERVALS;
  const setUp = await looked("set-up", async () => {
    const { diagnosis, findings: told } = await readDiagnosis(session, api);
    if (diagnosis !== null) intervals = intervalsOf(diagnosis);
    return told;
  });
  findings.push(...setUp);
  findings.push(...(await looked("leases", () => leaseFindings(api, intervals))));
  findings.push(...(await looked("policies", () => policyFindings(api))));
  findings.push(...(await looked("sealing keys", () => sealedFindings(api))));
  findings.push(...(await looked("trust", () => trustFindings(api))));
  findings.push(...(await looked("backends", () => backendFindings(api))));
  return findings;
}

const intervalsOf = (told: Diagnosis): Intervals => ({
  sweepSeconds: told.sweep_interval_seconds,
  listingSeconds: told.listing_interval_seconds,
});

/** The sequencer appends within a second or so; a partition is made months ahead. */
const PENDING_SECONDS_MAX = 60;

function* logFindings(counts: z.output<typeof countsAnswer>): Generator<Finding> {
  const { events_pending: pending, oldest_pending_seconds: oldest = 0 } = counts;
  const text = `${pending} events wait for their place, the oldest for ${durationText(oldest * 1_000)}`;
  if (pending > 0 && oldest > PENDING_SECONDS_MAX) {
    const todo = "A worker appends them: is one running? Its log says what hinders it.";
    yield bad("log", text, todo, { why: "Events without a place are in no proof yet." });
  } else yield good("log", "every event gets its place");
  const rows = counts.rows_in_default_partitions;
  if (rows > 0) {
    const why = "They were written when no month's partition was there, and hinder making it.";
    const todo = "docs/runbooks says how they move; a worker makes partitions ahead: its log.";
    yield bad("partitions", `${rows} rows in default partitions`, todo, {
      why,
      severity: "warning",
    });
  } else yield good("partitions", "no row is in a default partition");
}

async function leaseFindings(api: BrokerApi, intervals: Intervals): Promise<readonly Finding[]> {
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
    ...sweepFindings(rounds, intervals),
    ...logFindings(counts),
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
  const skewMs = Math.abs(check.clock_skew_ms ?? 0);
  if (skewMs > SKEW_WARNED_MS) {
    const text = `its clock is ${durationText(skewMs)} from the broker's`;
    const why = "Its own expiry comes early or late by that.";
    const todo = "Synchronise the clocks of both machines (NTP).";
    const late = bad(name, text, todo, { why, severity: "warning" });
    return [late, ...check.problems.map(({ what, fix }) => bad(name, what, fix))];
  }
  if (check.problems.length === 0) {
    return [good(name, enabled ? "has all that it needs" : "has all that it needs; disabled")];
  }
  return check.problems.map(({ what, fix }) => bad(name, what, fix));
}
