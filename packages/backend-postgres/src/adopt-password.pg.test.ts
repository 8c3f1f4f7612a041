import { PASSWORD_ROTATION } from "@mayfly/backend-kit";
import { systemRandom } from "@mayfly/host";
import type { OpenBackend } from "@mayfly/spec";
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

test("logins that are refused at the same time each find the other password for themselves", async () => {
  const before = postgresBackend.parseConfig(started.bench.upstream.config);
  const both = postgresBackend.parseConfig(PASSWORD_ROTATION.begin(before, systemRandom));
  const at = Array.from({ length: 4 }, () => 0);
  await using(both, async (open) => {
    const checks = at.map(() => open.selfCheck([], started.bench.call()));
    expect((await Promise.allSettled(checks)).map(({ status }) => status)).toEqual(
      at.map(() => "fulfilled"),
    );
  });
});

test("the server is given a verifier of the new password, and not the password", async () => {
  const before = postgresBackend.parseConfig(started.bench.upstream.config);
  const both = postgresBackend.parseConfig(PASSWORD_ROTATION.begin(before, systemRandom));
  await using(both, async ({ adoptSecret }) => adoptSecret?.(started.bench.call()));
  const [row] = await started.customer.sql()<{ rolpassword: string }[]>`
    SELECT rolpassword FROM pg_authid WHERE rolname = ${started.customer.broker.username}`;
  expect(row?.rolpassword).toMatch(/^SCRAM-SHA-256\$4096:/);
});
