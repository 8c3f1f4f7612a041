import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BrokerError } from "@mayfly/spec";
import { systemClock } from "@mayfly/host";
import { refusalOf } from "@mayfly/testkit";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { checkServer } from "./check-server.ts";
import type { Ledger } from "./open-ledger.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

let ledger: TestLedger;
let auditor: Ledger;
beforeAll(async () => {
  ledger = await createTestLedger();
  const backend = await ledgerFixtures.registerBackend(ledger.ports);
  await ledgerFixtures.activeLease(ledger.ports, backend);
  await ledger.worker.sequencer.append(100);
  auditor = await ledger.open("mayfly_auditor");
});
afterAll(() => ledger.close());

describe("the auditor, who has views alone", () => {
  test("opens the ledger and verifies it as the worker does", async () => {
    const found = await auditor.sequencer.verify(0);
    expect(found).toMatchObject({ ok: true, pending: 0 });
    expect(found).toEqual(await ledger.worker.sequencer.verify(0));
    expect(auditor.installation).toEqual(ledger.worker.installation);
  });

  test("may check the server", async () => {
    const { facts } = await checkServer({
      url: ledger.urlOf("mayfly_auditor"),
      clock: systemClock,
    });
    expect(facts).toMatchObject({ migrated: true, user_name: "mayfly_auditor" });
  });

  test("is told which right it lacks for anything else, in single statements and in batches", async () => {
    const page = { limit: 1, after: null };
    const refused: readonly BrokerError[] = [
      await refusalOf(auditor.queries.counts()),
      await refusalOf(auditor.queries.leases({}, page)),
      await refusalOf(ledgerFixtures.openTask({ ...ledger.ports, issue: auditor.issue })),
    ];
    for (const error of refused) {
      expect(error).toMatchObject({ code: "config_invalid" });
      expect(error.message).toContain("The database role mayfly_auditor may not do this");
      expect(error.message).toMatch(/permission denied for schema mayfly/);
    }
  });

  test("sees what was altered", async () => {
    await ledger.superuser`
      UPDATE mayfly.events SET data = '{}' WHERE id = (
        SELECT event_id FROM mayfly.log_entries WHERE log_index = 1)`;
    expect(await auditor.sequencer.verify(0)).toMatchObject({ ok: false, logIndex: 1 });
  });
});
