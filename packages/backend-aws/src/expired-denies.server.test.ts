import { requireOrExplain } from "@mayfly/embedded";
import { instantMs, plusSeconds, type Clock, type Issued } from "@mayfly/spec";
import { createMemoryNames } from "@mayfly/testkit";
import { BackendBench, revoking } from "@mayfly/testkit/contract";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { awsBackend } from "./aws-backend.ts";
import { readHandle } from "./lease-handle.ts";
import { startAwsUpstream, type AwsUpstream } from "./testing/aws-upstream.ts";
import { policiesOf } from "./testing/evaluate.ts";

const program = await requireOrExplain("moto");
/** More than the minute by which clocks may differ. */
const MARGIN_SECONDS = 300;

describe.runIf(program !== undefined)("denies at a role of AWS", () => {
  let upstream: AwsUpstream;
  let bench: BackendBench;
  beforeAll(async () => {
    upstream = await startAwsUpstream({ iamRoles: ["agents/reader"] });
    bench = new BackendBench({ backend: awsBackend }, upstream);
  });
  afterAll(async () => {
    await bench?.open.close();
    await upstream?.stop();
  });

  test("go once their sessions have expired, and those of sessions that have not stay", async () => {
    let ahead = 0;
    const clock: Clock = {
      ...upstream.clock,
      now: () => plusSeconds(upstream.clock.now(), ahead),
    };
    const open = awsBackend.open(awsBackend.parseConfig(upstream.config), {
      ...bench.host,
      clock,
      names: createMemoryNames(clock),
    });
    const call = { ...bench.call(), clock };
    const end = async (ttlSeconds: number): Promise<Issued> => {
      const issued = await open.issue(bench.plan(ttlSeconds), bench.issueCall());
      await revoking(open).revoke(issued.handle, call);
      return issued;
    };
    const [short, long] = [await end(900), await end(3_600)];
    const [first, last] = [readHandle(short.handle), readHandle(long.handle)];
    /** By what stands at the role in moto: the names that each deny document has. */
    const denied = async (): Promise<readonly string[]> => {
      const policies = await policiesOf(upstream.account.iam, first.place);
      const ours = policies.filter(({ name }) => name.startsWith("mayfly-deny."));
      return ours.map(({ policy }) =>
        [...JSON.stringify(policy).matchAll(/"\*:(mf_[^"]+)"/g)].map(([, name]) => name).join(),
      );
    };
    const upkeepAt = async (at: number): Promise<readonly string[]> => {
      ahead = Math.ceil((at - upstream.clock.now()) / 1_000);
      await open.upkeep?.(call);
      return denied();
    };
    const both = [first.name, last.name].toSorted();
    expect((await denied()).toSorted()).toEqual(both);
    const margin = MARGIN_SECONDS * 1_000;
    const just = await upkeepAt(instantMs(first.until - margin));
    expect(just.join().split(",").toSorted()).toEqual(both);
    expect(await upkeepAt(instantMs(first.until + margin))).toEqual([last.name]);
    expect(await upstream.tryCredential(long.material)).toBe("refused");
    expect(await upkeepAt(instantMs(last.until - margin))).toEqual([last.name]);
    expect(await upstream.tryCredential(long.material)).toBe("refused");
    expect(await upkeepAt(instantMs(last.until + margin))).toEqual([]);
    await open.close();
  });
});
