import { PASSWORD_ROTATION } from "@mayfly/backend-kit";
import { requireOrExplain } from "@mayfly/embedded";
import { systemRandom } from "@mayfly/host";
import { BackendError, type OpenBackend } from "@mayfly/spec";
import { backendErrorOf } from "@mayfly/testkit/contract";
import { describe, expect, test } from "vitest";
import { redisBackend } from "./redis-backend.ts";
import { benchOn, configOf } from "./testing/redis-bench.ts";
import { startRedisServer } from "./testing/redis-server.ts";

const program = await requireOrExplain("redis");

describe.runIf(program !== undefined)("the broker's own password on Redis", () => {
  test("a rotation locks nobody out at any step, and outlives a restart of a server", async () => {
    const servers = await Promise.all([1, 2].map(() => startRedisServer(program ?? "")));
    const ports = servers.map(({ port }) => port);
    const bench = benchOn(servers, configOf(ports));
    const before = redisBackend.parseConfig(configOf(ports));
    const both = redisBackend.parseConfig(PASSWORD_ROTATION.begin(before, systemRandom));
    const after = PASSWORD_ROTATION.finish(both);
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
          return (await open.selfCheck([], bench.call())).problems.length === 0;
        } catch (error) {
          if (BackendError.isBackendError(error)) return false;
          throw error;
        }
      });
    const adopt = (): Promise<void> =>
      using(both, async ({ adoptSecret }) => adoptSecret?.(bench.call()));
    expect([await letsIn(both), await letsIn(after)]).toEqual([true, false]);
    await adopt();
    // As after a crash before it was noted: again, and by the new one.
    await adopt();
    await servers[0]?.restart();
    const seen = [await letsIn(both), await letsIn(after), await letsIn(before)];
    expect(seen).toEqual([true, true, false]);
    await bench.open.close();
    await Promise.all(servers.map((server) => server.stop()));
  });

  test("a server that would forget it is refused, and nothing is changed", async () => {
    const server = await startRedisServer(program ?? "", { aclFile: false });
    const config = redisBackend.parseConfig(configOf([server.port]));
    const bench = benchOn([server], config);
    const both = PASSWORD_ROTATION.begin(config, systemRandom);
    const open = bench.openAgain(both);
    const error = await backendErrorOf(open.adoptSecret?.(bench.call()) ?? Promise.resolve());
    expect([error.effect, error.message]).toEqual(["none", expect.stringContaining("ACL file")]);
    await bench.open.issue(bench.plan(), bench.issueCall());
    await open.close();
    await bench.open.close();
    await server.stop();
  });
});
