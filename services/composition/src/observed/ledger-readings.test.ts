import { expect, test } from "vitest";
import { parseBackendId, type LedgerCounts } from "@mayfly/spec";
import { createMetrics } from "@mayfly/telemetry";
import { createFakeClock } from "@mayfly/testkit";
import { readLedgerBeforeScrapes } from "./ledger-readings.ts";

const COUNTS: LedgerCounts = {
  leasesReserved: 0,
  leasesActive: 7,
  leasesEnding: 0,
  leasesStuck: 0,
  leasesOverdue: 0,
  oldestDueSeconds: 0,
  tasksActive: 3,
  taskEndsOpen: 0,
  eventsPending: 0,
  oldestPendingSeconds: 0,
  logEntries: 9,
  rowsInDefaultPartitions: 0,
  sweepAgeSeconds: null,
  backends: [
    {
      id: parseBackendId("orders-db", "backend"),
      leasesReserved: 0,
      leasesActive: 7,
      leasesEnding: 0,
      leasesStuck: 0,
      listingAgeSeconds: 4,
    },
  ],
};

function setUp(read: () => Promise<LedgerCounts>) {
  const metrics = createMetrics();
  const clock = createFakeClock();
  let readings = 0;
  const counts = (): Promise<LedgerCounts> => {
    readings++;
    return read();
  };
  readLedgerBeforeScrapes({ metrics, clock, counts, signingKeys: null });
  return { metrics, clock, readings: () => readings };
}

test("many scrapes share one reading for five seconds", async () => {
  const { metrics, clock, readings } = setUp(() => Promise.resolve(COUNTS));
  const texts = await Promise.all(Array.from({ length: 20 }, () => metrics.text()));
  expect(readings()).toBe(1);
  for (const text of texts) {
    expect(text).toMatch(/^mayfly_leases\{backend="orders-db",state="active"\} 7$/m);
    expect(text).toMatch(/^mayfly_ledger_up 1$/m);
    // Never is older than anything.
    expect(text).toMatch(/^mayfly_sweep_age_seconds \+Inf$/m);
  }
  await clock.advance(4_900);
  expect(await metrics.text()).toMatch(/^mayfly_ledger_reading_age_seconds 4\.9$/m);
  expect(readings()).toBe(1);
  await clock.advance(200);
  await metrics.text();
  expect(readings()).toBe(2);
});

test("a ledger that hangs has one reading waiting, and its last values are not shown", async () => {
  let hangs = false;
  const never = new Promise<LedgerCounts>(() => undefined);
  const { metrics, clock, readings } = setUp(() => (hangs ? never : Promise.resolve(COUNTS)));
  expect(await metrics.text()).toMatch(/^mayfly_tasks_active 3$/m);
  hangs = true;
  await clock.advance(6_000);
  const scrapes = Promise.all(Array.from({ length: 20 }, () => metrics.text()));
  await clock.advance(1_001);
  for (const text of await scrapes) {
    expect(text).toMatch(/^mayfly_ledger_up 0$/m);
    expect(text).not.toMatch(/^mayfly_(?:leases|tasks_active|listing_age|sweep_age)/m);
  }
  expect(readings()).toBe(2);
  expect(clock.sleepers).toBe(0);
});

test("a ledger that refuses is not up, and is asked again by the next scrape", async () => {
  let refuses = true;
  const refused = () => Promise.reject(new Error("the connection was refused"));
  const { metrics, readings } = setUp(() => (refuses ? refused() : Promise.resolve(COUNTS)));
  expect(await metrics.text()).toMatch(/^mayfly_ledger_up 0$/m);
  refuses = false;
  expect(await metrics.text()).toMatch(/^mayfly_ledger_up 1$/m);
  expect(readings()).toBe(2);
});
