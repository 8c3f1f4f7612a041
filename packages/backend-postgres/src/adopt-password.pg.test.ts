import { PASSWORD_ROTATION } from "@mayfly/backend-kit";
import { systemRandom } from "@mayfly/host";
import { BackendError, type OpenBackend } from "@mayfly/spec";
import { afterAll, beforeAll, expect, test } from "vitest";
import { postgresBackend } from "./postgres-backend.ts";
import { startPostgresBench, type PostgresBench } from "./testing/start-postgres-bench.ts";

let started: PostgresBench;
beforeAll(async () => {
  started = await startPostgresBench();
});
afterAll(() => started.stop());

async function using<T>(config: unknown, run: (open: OpenBackend) => Promise<T>): Promise<T> {
  const open = started.bench.openAgain(config);
  try {
    return await run(open);
  } finally {
    await open.close();
  }
}
const letsIn = (config: unknown): Promise<boolean> =>
  using(config, async (open) => {
    try {
      await open.selfCheck([], started.bench.call());
      return true;
    } catch (error) {
      if (BackendError.isBackendError(error)) return false;
      throw error;
    }
  });

test("a rotation locks nobody out at any step, and leaves the new password alone", async () => {
  const before = postgresBackend.parseConfig(started.bench.upstream.config);
  const both = postgresBackend.parseConfig(PASSWORD_ROTATION.begin(before, systemRandom));
  const after = PASSWORD_ROTATION.finish(both);
  expect(await letsIn(both)).toBe(true);
  expect(await letsIn(after)).toBe(false);
  // Logins that are refused at the same time each find the other password for themselves.
  const at = Array.from({ length: 4 }, () => 0);
  await using(both, async (open) => {
    const checks = at.map(() => open.selfCheck([], started.bench.call()));
    expect((await Promise.allSettled(checks)).map(({ status }) => status)).toEqual(
      at.map(() => "fulfilled"),
    );
  });
  const adopt = (): Promise<void> =>
    using(both, async ({ adoptSecret }) => adoptSecret?.(started.bench.call()));
  await adopt();
  // As after a crash before it was noted: again, and by the new one.
  await adopt();
  expect(await letsIn(both)).toBe(true);
  expect(await letsIn(after)).toBe(true);
  expect(await letsIn(before)).toBe(false);
  const [row] = await started.customer.sql()<{ rolpassword: string }[]>`
    SELECT rolpassword FROM pg_authid WHERE rolname = ${started.customer.broker.username}`;
  expect(row?.rolpassword).toMatch(/^SCRAM-SHA-256\$4096:/);
});
