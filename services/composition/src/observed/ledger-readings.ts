import type { Clock, LedgerCounts, SigningKeyStore } from "@mayfly/spec";
import type { Metrics } from "@mayfly/telemetry";

/** One reading serves all scrapes that come within it: several scrapers cost one. */
const FRESH_MS = 5_000;
/** A scrape waits no longer for the ledger than this, and then says that it is not up. */
const WAIT_MS_MAX = 1_000;

const FROM_LEDGER = [
  "mayfly_ledger_reading_age_seconds",
  "mayfly_leases",
  "mayfly_leases_overdue",
  "mayfly_leases_oldest_due_seconds",
  "mayfly_tasks_active",
  "mayfly_task_ends_open",
  "mayfly_events_pending",
  "mayfly_events_pending_oldest_seconds",
  "mayfly_log_entries",
  "mayfly_default_partition_rows",
  "mayfly_sweep_age_seconds",
  "mayfly_listing_age_seconds",
  "mayfly_signing_key_age_seconds",
] as const satisfies Parameters<Metrics["forget"]>[0];

export interface ReadingPorts {
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly counts: () => Promise<LedgerCounts>;
  /** Null for the worker, whose database role may not read them. */
  readonly signingKeys: Pick<SigningKeyStore, "list"> | null;
}

interface Reading {
  readonly counts: LedgerCounts;
  readonly signingKeyAgeSeconds: number | null;
  readonly readMs: number;
}

/**
 * The gauges that are read from the ledger, before each scrape. A ledger that hangs delays a scrape
 * by a second and has one reading waiting, however many scrapes come; its gauges are then left out,
 * for an old value would look like a live one.
 */
export function readLedgerBeforeScrapes(ports: ReadingPorts): void {
  const { metrics, clock } = ports;
  let latest: Reading | null = null;
  let underWay: Promise<Reading> | null = null;
  const read = (): Promise<Reading> => {
    underWay ??= take(ports).then(
      (reading) => {
        latest = reading;
        underWay = null;
        return reading;
      },
      (error: unknown) => {
        underWay = null;
        throw error;
      },
    );
    return underWay;
  };
  metrics.beforeScrape(async () => {
    const isFresh = latest !== null && clock.monotonicMs() - latest.readMs < FRESH_MS;
    const reading = isFresh ? latest : await within(clock, read());
    metrics.forget(FROM_LEDGER);
    metrics.set("mayfly_ledger_up", {}, reading === null ? 0 : 1);
    if (reading !== null) show(metrics, reading, clock.monotonicMs());
  });
}

async function take({ counts, signingKeys, clock }: ReadingPorts): Promise<Reading> {
  const readMs = clock.monotonicMs();
  const [counted, keys] = await Promise.all([counts(), signingKeys?.list() ?? []]);
  const now = clock.now();
  const signing = keys.find((key) => key.signsFromAt <= now);
  const signingKeyAgeSeconds = signing === undefined ? null : (now - signing.signsFromAt) / 1000;
  return { counts: counted, signingKeyAgeSeconds, readMs };
}

/** Null: not in time, or not at all. */
async function within<T>(clock: Clock, reading: Promise<T>): Promise<T | null> {
  const done = new AbortController();
  const late = clock.sleep(WAIT_MS_MAX, done.signal).then(
    () => null,
    () => null,
  );
  try {
    return await Promise.race([reading.catch(() => null), late]);
  } finally {
    done.abort();
  }
}

function show(metrics: Metrics, { counts, ...reading }: Reading, nowMs: number): void {
  const ageSeconds = (nowMs - reading.readMs) / 1000;
  const never = Number.POSITIVE_INFINITY;
  metrics.set("mayfly_ledger_reading_age_seconds", {}, ageSeconds);
  metrics.set("mayfly_leases_overdue", {}, counts.leasesOverdue);
  metrics.set("mayfly_leases_oldest_due_seconds", {}, counts.oldestDueSeconds);
  metrics.set("mayfly_tasks_active", {}, counts.tasksActive);
  metrics.set("mayfly_task_ends_open", {}, counts.taskEndsOpen);
  metrics.set("mayfly_events_pending", {}, counts.eventsPending);
  metrics.set("mayfly_events_pending_oldest_seconds", {}, counts.oldestPendingSeconds);
  metrics.set("mayfly_log_entries", {}, counts.logEntries);
  metrics.set("mayfly_default_partition_rows", {}, counts.rowsInDefaultPartitions);
  metrics.set("mayfly_sweep_age_seconds", {}, counts.sweepAgeSeconds ?? never);
  if (reading.signingKeyAgeSeconds !== null) {
    metrics.set("mayfly_signing_key_age_seconds", {}, reading.signingKeyAgeSeconds);
  }
  for (const backend of counts.backends) {
    const { id } = backend;
    metrics.set("mayfly_leases", { backend: id, state: "reserved" }, backend.leasesReserved);
    metrics.set("mayfly_leases", { backend: id, state: "active" }, backend.leasesActive);
    metrics.set("mayfly_leases", { backend: id, state: "ending" }, backend.leasesEnding);
    metrics.set("mayfly_leases", { backend: id, state: "stuck" }, backend.leasesStuck);
    const age = backend.listingAgeSeconds ?? never;
    metrics.set("mayfly_listing_age_seconds", { backend: id }, age);
  }
}
