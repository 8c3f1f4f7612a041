import { describe, expect, test } from "vitest";
import { plusSeconds, type Secret } from "@mayfly/spec";
import type { BackendContractSubject } from "./backend-contract-subject.ts";
import { backendErrorOf, revoking, type BackendBench } from "./backend-bench.ts";

/** Revokes, and waits out a propagation. */
async function revoke(bench: BackendBench, handle: Secret, open = bench.open): Promise<void> {
  const revoked = await revoking(open).revoke(handle, bench.call());
  if (revoked.outcome === "refused") return;
  const until = revoked.outcome === "expires" ? revoked.notLaterThan : revoked.until;
  await bench.upstream.pass(Math.max(0, until - bench.upstream.clock.now()) + 1);
}

/** R1 to B2 and what of N1 needs revocation: for types that can revoke. */
export function describeRevocation(
  subject: BackendContractSubject,
  benchOf: () => BackendBench,
): void {
  describe("revoke and probe", () => {
    describeRevoking(benchOf);
  });
  if (subject.backend.capabilities.canRenew) describeNoResurrection(benchOf);
  describe("recover", () => {
    if (subject.selfContained === undefined) {
      describeRecovering(benchOf);
      // The ledger gives no slot to what is recovered: T5 is of one that had it already.
      if (subject.backend.capabilities.pooled !== true) describeLateIssue(benchOf);
    }
    if (subject.selfContained !== undefined) describeOutliving(benchOf);
    describeHeldUp(benchOf);
  });
}

/** The longest that a verifier may go on after an expiry, for its clock's sake. */
const LEEWAY_SECONDS_MAX = 300;

function describeOutliving(benchOf: () => BackendBench): void {
  test("R1. what may be out is said to die by itself, whoever asks how often, and does", async () => {
    const bench = benchOf();
    const plan = bench.plan(2);
    const issued = await bench.open.issue(plan, bench.issueCall());
    const said = await Promise.all(
      [1, 2, 3].map(() => bench.open.recover(plan, null, bench.recoverCall())),
    );
    const [first] = said;
    expect(said).toEqual([first, first, first]);
    const at = first?.outcome === "expires" ? first.notLaterThan : null;
    expect(at).toBeGreaterThanOrEqual(plan.expiresAt);
    expect(at).toBeLessThanOrEqual(plusSeconds(plan.expiresAt, LEEWAY_SECONDS_MAX));
    await bench.upstream.pass(at! - bench.upstream.clock.now() + 1);
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
  });
  test("R3. recover never says absent of what it cannot look for", async () => {
    const bench = benchOf();
    expect(await bench.open.recover(bench.plan(), null, bench.recoverCall())).toMatchObject({
      outcome: "expires",
    });
  });
}

function describeHeldUp(benchOf: () => BackendBench): void {
  test("R2. an issue that was held up past its deadline leaves nothing", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const blocked = await bench.upstream.block();
    const issuing = bench.open.issue(plan, bench.issueCall({ seconds: 1 }));
    const failing = backendErrorOf(issuing);
    await bench.upstream.pass(2_000);
    await blocked.release();
    const { effect } = await failing;
    if (effect === "none") await bench.upstream.pass(500);
    else await bench.recoverUntilSettled(plan);
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
  });
}

function describeRevoking(benchOf: () => BackendBench): void {
  test("V1. revoking twice succeeds twice", async () => {
    const bench = benchOf();
    const issued = await bench.open.issue(bench.plan(), bench.issueCall());
    await revoke(bench, issued.handle);
    await revoke(bench, issued.handle);
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
  });
  test("V1. two that revoke at once both succeed", async () => {
    const bench = benchOf();
    const issued = await bench.open.issue(bench.plan(), bench.issueCall());
    const other = bench.openAgain();
    await Promise.all([
      revoke(bench, issued.handle),
      revoke(bench, issued.handle, other),
      revoke(bench, issued.handle),
    ]);
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
    await other.close();
  });
  test("V2. when revoke returns, the credential is refused and its sessions are cut", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const issued = await bench.open.issue(plan, bench.issueCall());
    const session = await bench.upstream.openSession(issued.material);
    expect(await session.alive()).toBe(true);
    await revoke(bench, issued.handle);
    expect(await session.alive()).toBe(false);
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
    await session.close();
  });
  test("V3, O2. another process revokes with the handle alone", async () => {
    const bench = benchOf();
    const issued = await bench.open.issue(bench.plan(), bench.issueCall());
    const other = bench.openAgain();
    await revoke(bench, issued.handle, other);
    await other.close();
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
  });
  test("B1, B2. the probe says accepted while it lives, refused after, and what it saw", async () => {
    const bench = benchOf();
    const issued = await bench.open.issue(bench.plan(), bench.issueCall());
    const session = await bench.upstream.openSession(issued.material);
    const before = await revoking(bench.open).probe(issued.handle, bench.call());
    expect(before.verdict).toBe("accepted");
    await revoke(bench, issued.handle);
    const after = await revoking(bench.open).probe(issued.handle, bench.call());
    expect(after.verdict).toBe("refused");
    expect(Object.keys(before.looked).length).toBeGreaterThan(0);
    expect(Object.keys(after.looked)).toEqual(Object.keys(before.looked));
    expect(after.looked).not.toEqual(before.looked);
    await session.close();
  });
}

function describeNoResurrection(benchOf: () => BackendBench): void {
  test("N1. renewing what was revoked fails and brings nothing back", async () => {
    const bench = benchOf();
    if (bench.open.renewal.kind === "none") throw new Error("this backend cannot renew");
    const plan = bench.plan();
    const issued = await bench.open.issue(plan, bench.issueCall());
    await revoke(bench, issued.handle);
    const until = plusSeconds(plan.expiresAt, 60);
    await backendErrorOf(bench.open.renewal.extend(plan, issued.handle, until, bench.issueCall()));
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
  });
}

function describeRecovering(benchOf: () => BackendBench): void {
  test("R1, R3. what was never issued is absent after looking, twice", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    for (let turn = 0; turn < 2; turn++) {
      const recovered = await bench.recoverUntilSettled(plan);
      expect(recovered.outcome).toBe("absent");
      expect(
        recovered.outcome === "absent" && Object.keys(recovered.looked).length,
      ).toBeGreaterThan(0);
    }
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
  });
  test("R1. what was issued is destroyed, sessions included; then absent", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const issued = await bench.open.issue(plan, bench.issueCall());
    const session = await bench.upstream.openSession(issued.material);
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
    expect(await session.alive()).toBe(false);
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
    expect(["absent", "destroyed"]).toContain((await bench.recoverUntilSettled(plan)).outcome);
    await session.close();
  });
  test("R4. what recover destroys is told first, or said again to whoever asks again", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const issued = await bench.open.issue(plan, bench.issueCall());
    let isAsked = false;
    const found = async (): Promise<never> => {
      isAsked = true;
      throw new Error("the ledger cannot be reached");
    };
    const recovering = bench.open.recover(plan, null, { ...bench.recoverCall(), found });
    await recovering.catch(() => undefined);
    expect(await bench.upstream.tryCredential(issued.material)).toBe(
      isAsked ? "accepted" : "refused",
    );
    expect((await bench.recoverUntilSettled(plan)).outcome).toBe("destroyed");
    expect(bench.found.length > 0).toBe(isAsked);
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
  });
  test("R1. two that recover at once agree", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    await bench.open.issue(plan, bench.issueCall());
    const outcomes = await Promise.all([
      bench.recoverUntilSettled(plan),
      bench.recoverUntilSettled(plan),
    ]);
    for (const { outcome } of outcomes) expect(["absent", "destroyed"]).toContain(outcome);
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
  });
}

function describeLateIssue(benchOf: () => BackendBench): void {
  test("R2. what is issued late, while recover waits, is refused or found when it looks again", async () => {
    const bench = benchOf();
    const { lateMint } = bench.backend.capabilities;
    const plan = bench.plan();
    const first = await bench.open.recover(plan, null, bench.recoverCall());
    expect(first.outcome).toBe("wait");
    const late = bench.open.issue(plan, bench.issueCall());
    if (lateMint === "refused") await backendErrorOf(late);
    else expect(await bench.upstream.tryCredential((await late).material)).toBe("accepted");
    const { outcome } = await bench.recoverUntilSettled(plan);
    expect(outcome).toBe(lateMint === "refused" ? "absent" : "destroyed");
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
  });
}
