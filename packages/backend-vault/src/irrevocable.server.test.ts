import { requireOrExplain } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { backendErrorOf, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { readHandle } from "./lease-mark.ts";
import { startFakeEngine, startRealEngine, type EngineBench } from "./testing/vault-benches.ts";

const program = await requireOrExplain("openbao");

/** A server that is asked for it anew tries at once, and gives up after six tries. */
const ASKED_MAX = 400;
const EVERY_MS = 50;

/**
 * As OpenBao 2.6.2 listed one on 30 November 2026, whose id began `database/creds/reader/` and
 * whose mount was `database_4856c3b5`. The engine was to revoke by `SELECT 1 / 0`.
 */
const RECORDED = {
  mount_id: expect.stringMatching(/^database_[0-9a-f]{8}$/) as string,
  error:
    "out of retries: failed to revoke entry: resp: (*logical.Response)(nil) err: ERROR: " +
    "division by zero (SQLSTATE 22012)",
};
const listed = z.object({
  data: z.object({
    lease_count: z.number(),
    leases: z.array(
      z.strictObject({
        lease_id: z.string(),
        mount_id: z.string(),
        error: z.string(),
      }),
    ),
  }),
});

describe("on the fake", () => {
  describeGivingUp(startFakeEngine);
});
describe.runIf(program !== undefined)("on OpenBao", () => {
  describeGivingUp(startRealEngine);
});

function describeGivingUp(start: () => Promise<EngineBench>): void {
  let engine: EngineBench;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine?.stop());

  const givenUp = async () => {
    const path = "sys/leases?type=irrevocable&limit=none";
    return listed.parse(await engine.upstream.server.api("GET", path)).data;
  };
  async function letGiveUp(leaseId: string): Promise<void> {
    for (let asked = 0; asked < ASKED_MAX; asked++) {
      if ((await givenUp()).lease_count > 0) return;
      const { status } = await engine.upstream.server.asRoot(
        "POST",
        `sys/leases/revoke/${leaseId}`,
        { sync: false },
      );
      expect(status).toBe(202);
      await systemClock.sleep(EVERY_MS);
    }
    throw new Error("the server does not give up");
  }

  test("a lease that the server has given up says so, and is asked for until it is gone", async () => {
    const { bench } = engine;
    const issued = await bench.open.issue(bench.plan(600), bench.issueCall({ seconds: 60 }));
    const { lease_id: leaseId = "" } = readHandle(issued.handle);
    const broken = await engine.breakEngine();
    const open = revoking(bench.open);
    const first = await backendErrorOf(open.revoke(issued.handle, bench.call()));
    expect(first.message).toContain("does not revoke its lease at database/creds/reader");
    expect(first.message).not.toContain("irrevocable");
    expect(await givenUp()).toEqual({ lease_count: 0, leases: [] });
    await letGiveUp(leaseId);
    expect(await givenUp()).toEqual({
      lease_count: 1,
      leases: [{ lease_id: leaseId, ...RECORDED }],
    });
    const second = await backendErrorOf(open.revoke(issued.handle, bench.call()));
    expect(second.message).toContain("the server has given it up as irrevocable");
    expect(second.retry.kind).toBe("after");
    expect((await open.probe(issued.handle, bench.call())).verdict).toBe("accepted");
    await broken.mend();
    await open.revoke(issued.handle, bench.call());
    expect((await open.probe(issued.handle, bench.call())).verdict).toBe("refused");
    expect(await givenUp()).toEqual({ lease_count: 0, leases: [] });
    expect(await engine.accounts()).toEqual([]);
  });
}
