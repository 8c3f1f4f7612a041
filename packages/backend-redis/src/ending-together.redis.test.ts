import { requireOrExplain } from "@mayfly/embedded";
import { revoking, type BackendBench } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { benchOn, configOf } from "./testing/redis-bench.ts";
import { accountOf, liveUsers } from "./testing/redis-upstream.ts";
import { startRedisServer, type RedisServer } from "./testing/redis-server.ts";

const program = await requireOrExplain("redis");
const LEASES = 1_000;

describe.runIf(program !== undefined)("a thousand leases that are due at once", () => {
  let server: RedisServer;
  let bench: BackendBench;
  beforeAll(async () => {
    server = await startRedisServer(program ?? "");
    bench = benchOn([server], configOf([server.port]));
  });
  afterAll(async () => {
    await bench.open.close();
    await server.stop();
  });

  test("are all revoked and probed, with a session open each, and nothing is left", async () => {
    const issued = await Promise.all(
      Array.from({ length: LEASES }, () => bench.open.issue(bench.plan(), bench.issueCall())),
    );
    expect(await liveUsers(server)).toHaveLength(LEASES);
    const sessions = issued.map(({ material }) => server.connect(...accountOf(material)));
    for (const session of sessions) await session.connect();
    const began = bench.upstream.clock.monotonicMs();
    const ended = await Promise.all(
      issued.map(async ({ handle }) => {
        const { outcome } = await revoking(bench.open).revoke(handle, bench.call());
        const { verdict } = await revoking(bench.open).probe(handle, bench.call());
        return `${outcome}, ${verdict}`;
      }),
    );
    const seconds = (bench.upstream.clock.monotonicMs() - began) / 1_000;
    expect(new Set(ended)).toEqual(new Set(["refused, refused"]));
    expect(await liveUsers(server)).toEqual([]);
    expect(String(await server.admin.client("LIST"))).not.toContain("user=mf_");
    // What the page of the type says of it.
    process.stderr.write(`${LEASES} leases with sessions ended in ${seconds.toFixed(2)} s\n`);
  });
});
