import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock, systemRandom } from "@mayfly/host";
import { refusalOf } from "@mayfly/testkit";
import { BackendBench } from "@mayfly/testkit/contract";
import {
  customerUpstream,
  startCustomerPostgres,
  type CustomerPostgres,
} from "@mayfly/testkit/vitest";
import { postgresBackend } from "./postgres-backend.ts";

let customer: CustomerPostgres;
let bench: BackendBench;
beforeAll(async () => {
  customer = await startCustomerPostgres();
  const upstream = customerUpstream(customer, { clock: systemClock, random: systemRandom });
  bench = new BackendBench({ backend: postgresBackend }, upstream);
});
afterAll(async () => {
  await bench.open.close();
  await customer.stop();
});

describe("a server without TLS", () => {
  test.for([undefined, "verify-full", "unsafe_require_unverified"])(
    "is told as such, with the setting that says so (tls %s)",
    async (tls) => {
      const open = bench.openAgain(Object.assign({}, bench.upstream.config, { tls }));
      const refused = await refusalOf(open.selfCheck([], bench.call()));
      await open.close();
      expect(refused).toMatchObject({ code: "backend_unavailable", effect: "none" });
      expect(refused.message).toContain("TLS");
      expect(refused.message).toContain("set `tls` to unsafe_disable");
    },
  );

  test("is not suspected where nobody listens", async () => {
    const elsewhere = { tls: "verify-full", port: 1, call_seconds_max: 1 };
    const open = bench.openAgain(Object.assign({}, bench.upstream.config, elsewhere));
    const refused = await refusalOf(open.selfCheck([], bench.call()));
    await open.close();
    expect(refused.message).toContain("nobody listens there");
  });
});
