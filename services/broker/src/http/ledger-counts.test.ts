import { expect, it } from "vitest";
import { createBrokerBench } from "../testing/broker-bench.ts";

it("the ledger's counts are told in snake_case, with when each backend was listed", async () => {
  const bench = await createBrokerBench();
  const { status, body } = await bench.admin("GET", "/v1/ledger/counts");
  expect(status).toBe(200);
  expect(body).toMatchObject({
    leases_reserved: 0,
    leases_active: 0,
    leases_stuck: 0,
    leases_overdue: 0,
    oldest_due_seconds: 0,
    sweep_age_seconds: expect.any(Number) as unknown,
    backends: expect.arrayContaining([
      { backend: "orders-db", leases_stuck: 0, listing_age_seconds: null },
    ]) as unknown,
  });
  const names = JSON.stringify(body).matchAll(/"([^"]+)":/g);
  expect([...names].map(([, name]) => name).filter((name) => /[A-Z]/.test(name ?? ""))).toEqual([]);
});
