import { expect, test } from "vitest";
import { RISK_MEMBER, Secret, type Issued, type OpenBackend, type Probe } from "@mayfly/spec";
import type { BackendBench } from "./backend-bench.ts";

/** H1 and H2, in the place of what presumes that a credential is made for its lease. */
export function describeStanding(benchOf: () => BackendBench): void {
  test("H1. all are issued the one that the upstream accepts, each grant with its risk", async () => {
    const bench = benchOf();
    const plans = [bench.plan(), bench.plan(), bench.plan()];
    const issued = await Promise.all(
      plans.map((plan) => bench.open.issue(plan, bench.issueCall())),
    );
    for (const [nth, plan] of plans.entries()) {
      expect(plan.grant[RISK_MEMBER]).toMatch(/^[a-z_]+$/);
      expect(issued[nth]?.expiresAt).toBeLessThanOrEqual(plan.expiresAt);
    }
    for (const each of issued) {
      expect(await bench.upstream.tryCredential(each.material)).toBe("accepted");
      // What the ledger keeps of it opens nothing.
      expect(each.handle.expose("upstream")).not.toContain(secretOf(each));
    }
    expect(new Set(issued.map(secretOf)).size).toBe(1);
  });
  test("H1. what nobody was told of leaves nothing to find, and takes nothing from others", async () => {
    const bench = benchOf();
    const [plan, other] = [bench.plan(), bench.plan()];
    const issued = await bench.open.issue(other, bench.issueCall());
    await bench.open.issue(plan, bench.issueCall());
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("absent");
    expect(await bench.upstream.tryCredential(issued.material)).toBe("accepted");
  });
  test("H2. a lease counts as refused once the secret was replaced, and no sooner", async () => {
    const bench = benchOf();
    if (bench.upstream.standing === undefined) throw new Error("it has a standing secret");
    const issued = await bench.open.issue(bench.plan(), bench.issueCall());
    const before = await replaced(bench, bench.open, issued.handle);
    expect(before.verdict).toBe("accepted");
    expect(await bench.upstream.tryCredential(issued.material)).toBe("accepted");
    const next = bench.openAgain(await bench.upstream.standing.replace());
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
    const after = await replaced(bench, next, issued.handle);
    expect(after.verdict).toBe("refused");
    expect(Object.keys(after.looked)).toEqual(Object.keys(before.looked));
    expect(after.looked).not.toEqual(before.looked);
    const again = await next.issue(bench.plan(), bench.issueCall());
    expect(await bench.upstream.tryCredential(again.material)).toBe("accepted");
    expect((await replaced(bench, next, again.handle)).verdict).toBe("accepted");
    await next.close();
  });
}

function secretOf({ material, fingerprintOf }: Issued): string {
  const secret = material[fingerprintOf];
  if (secret instanceof Secret) return secret.expose("reply");
  throw new Error("what is fingerprinted is a secret");
}

function replaced(bench: BackendBench, open: OpenBackend, handle: Secret): Promise<Probe> {
  if (open.revocation !== "none" || open.replaced === undefined) {
    throw new Error("a type of standing secrets says whether one was replaced");
  }
  return open.replaced(handle, bench.call());
}
