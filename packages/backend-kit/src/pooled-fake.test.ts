import { createFakeClock } from "@mayfly/testkit";
import { describeBackendContract } from "@mayfly/testkit/contract";
import { FakePool } from "./testing/fake-pool.ts";
import { pooledFake } from "./testing/pooled-fake.ts";
import { FAKE_POOL_CONFIG, driveFakePool } from "./testing/pooled-fake-upstream.ts";

const config = FAKE_POOL_CONFIG;

function describeFake(name: string, compares: boolean): void {
  const clock = createFakeClock();
  const pool = new FakePool(clock, compares);
  describeBackendContract({
    name,
    backend: pooledFake(pool),
    inputs: {
      config: {
        valid: [config],
        bad: [{ input: { ...config, slots: ["a", "a"] }, names: "config.slots" }],
        secrets: [config.password],
      },
      role: { valid: [{ level: 3 }], bad: [{ input: { level: 0 }, names: "role.level" }] },
      params: {
        valid: [{ level: 1 }, {}],
        bad: [{ input: { level: 1.5 }, names: "params.level" }],
      },
      narrowing: { role: { level: 3 }, wide: {}, narrow: { level: 1 }, tooWide: [{ level: 4 }] },
    },
    unreachableConfig: null,
    protocol: null,
    start: async () => driveFakePool(pool, clock),
  });
}

describeFake("fake pool that compares generations", true);
describeFake("fake pool that cannot compare", false);
