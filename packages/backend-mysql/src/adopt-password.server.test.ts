import { PASSWORD_ROTATION } from "@mayfly/backend-kit";
import { systemRandom } from "@mayfly/host";
import { BackendError, type OpenBackend } from "@mayfly/spec";
import { BackendBench } from "@mayfly/testkit/contract";
import { isInstalled } from "@mayfly/testkit/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mysqlBackend } from "./mysql-backend.ts";
import { startCustomerMysql, type CustomerMysql } from "./testing/start-customer-mysql.ts";

describe.runIf(await isInstalled("mariadb"))("the broker's own password on MariaDB", () => {
  let customer: CustomerMysql;
  let bench: BackendBench;
  beforeAll(async () => {
    customer = await startCustomerMysql();
    bench = new BackendBench({ backend: mysqlBackend }, customer);
  });
  afterAll(async () => {
    await bench?.open.close();
    await customer?.stop();
  });

  async function using<T>(config: unknown, run: (open: OpenBackend) => Promise<T>): Promise<T> {
    const open = bench.openAgain(config);
    try {
      return await run(open);
    } finally {
      await open.close();
    }
  }
  const letsIn = (config: unknown): Promise<boolean> =>
    using(config, async (open) => {
      try {
        await open.selfCheck([], bench.call());
        return true;
      } catch (error) {
        if (BackendError.isBackendError(error)) return false;
        throw error;
      }
    });

  test("a rotation locks nobody out at any step, and leaves the new password alone", async () => {
    const before = mysqlBackend.parseConfig(customer.config);
    const both = mysqlBackend.parseConfig(PASSWORD_ROTATION.begin(before, systemRandom));
    const after = PASSWORD_ROTATION.finish(both);
    expect(await letsIn(both)).toBe(true);
    expect(await letsIn(after)).toBe(false);
    const adopt = (): Promise<void> =>
      using(both, async ({ adoptSecret }) => adoptSecret?.(bench.call()));
    await adopt();
    // As after a crash before it was noted: again, and by the new one.
    await adopt();
    expect(await letsIn(both)).toBe(true);
    expect(await letsIn(after)).toBe(true);
    expect(await letsIn(before)).toBe(false);
  });
});
