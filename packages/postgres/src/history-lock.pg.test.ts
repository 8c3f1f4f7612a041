import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "@mayfly/testkit/vitest";
import { openErasure } from "./erasure.ts";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await createTestLedger();
});
afterAll(() => ledger.close());

test("who lost the lock of the history writes no more, and another one may begin", async () => {
  const { url } = ledger.database;
  const first = await openErasure({ url });
  const somebody = { by: "initiator", name: "somebody" } as const;
  await first.erase(somebody, "request 1");
  await ledger.superuser`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'mayfly-history-lock' AND datname = current_database()`;
  await eventually(async () => {
    await expect(first.erase(somebody, "request 2")).rejects.toMatchObject({
      code: "ledger_unavailable",
    });
  });
  const second = await openErasure({ url });
  await second.erase(somebody, "request 3");
  await second.close();
  await first.close();
});
