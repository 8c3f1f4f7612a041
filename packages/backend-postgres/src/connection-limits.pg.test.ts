import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { startCustomerPostgres, type CustomerPostgres } from "@mayfly/testkit/vitest";
import { parseStrict } from "@mayfly/backend-kit";
import { connectionSettings } from "./connection-settings.ts";
import { Endpoint } from "./endpoint.ts";

let customer: CustomerPostgres;
let endpoint: Endpoint;
beforeAll(async () => {
  customer = await startCustomerPostgres();
  const { host, port } = customer.server;
  const { database, broker } = customer;
  const at = { host, port, database, ...broker, tls: "unsafe_disable" };
  const settings = parseStrict(connectionSettings, { ...at, call_seconds_max: 3 }, "config");
  endpoint = new Endpoint({
    settings,
    host,
    port,
    database,
    slots: 1,
    clock: systemClock,
  });
});
afterAll(async () => {
  await endpoint.close();
  await customer.stop();
});

test("a backend's session bounds statements, locks and idling in a transaction", async () => {
  const { signal } = new AbortController();
  const deadline = { signal, byMs: systemClock.monotonicMs() + 10_000 };
  const [rows] = await endpoint.run(
    `SELECT name, setting FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout',
      'idle_in_transaction_session_timeout') ORDER BY name`,
    deadline,
  );
  expect(rows).toEqual([
    { name: "idle_in_transaction_session_timeout", setting: "10000" },
    { name: "lock_timeout", setting: "1500" },
    { name: "statement_timeout", setting: "3000" },
  ]);
});
