import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BrokerError, Secret, plusSeconds, type OpenBackend } from "@mayfly/spec";
import { BackendBench, backendErrorOf, revoking } from "./backend-bench.ts";
import { describeAuthority } from "./backend-contract-authority.ts";
import { describeFaults } from "./backend-contract-faults.ts";
import { describePooled } from "./backend-contract-pooled.ts";
import { describePureObligations } from "./backend-contract-pure.ts";
import { describeRevocation } from "./backend-contract-revocation.ts";
import { describeRotation } from "./backend-contract-rotation.ts";
import { describeStanding } from "./backend-contract-standing.ts";
import { describeTokens } from "./backend-contract-tokens.ts";
import { describeUpkeep } from "./backend-contract-upkeep.ts";
import type { BackendContractSubject, ContractUpstream } from "./backend-contract-subject.ts";

/** Where a describe block finds the bench, which exists only once the upstream has started. */
export type BenchOf = () => BackendBench;

/** The obligations of a `CredentialBackend`, by the letters in its interface. */
export function describeBackendContract(subject: BackendContractSubject): void {
  describe(`backend contract: ${subject.name}`, () => {
    describePureObligations(subject);

    describe("on an upstream", () => {
      let upstream: ContractUpstream | undefined;
      let bench: BackendBench | undefined;
      beforeAll(async () => {
        upstream = await subject.start();
        bench = new BackendBench(subject, upstream);
      });
      afterAll(async () => {
        await bench?.open.close();
        await upstream?.stop();
      });
      const benchOf: BenchOf = () => bench!;
      describeOpening(benchOf);
      if (subject.unreachableConfig !== null) describeUnreachable(subject, benchOf);
      describeUnsent(benchOf);
      const isStanding = subject.backend.capabilities.standingSecret === true;
      if (isStanding) describeStanding(benchOf);
      else describeIssuing(subject, benchOf);
      if (subject.backend.capabilities.expiryEnforcedBy !== "broker") describeExpiry(benchOf);
      if (subject.backend.capabilities.revocation !== "none") describeRevocation(subject, benchOf);
      if (subject.backend.capabilities.canRenew) describeRenewal(benchOf);
      if (subject.backend.capabilities.canList) describeListing(subject, benchOf);
      if (subject.backend.capabilities.pooled === true) describePooled(benchOf);
      describeSelfCheck(benchOf);
      if (!isStanding) describeMissingRights(benchOf);
      describeFaults(subject, benchOf);
      describeOwnMembers(subject, benchOf);
    });
  });
}

/** What some types alone have, as their definitions say. */
function describeOwnMembers(subject: BackendContractSubject, benchOf: BenchOf): void {
  const { signsTokens, certifies, looksAfter, rotation } = subject.backend;
  if (rotation !== undefined) describeRotation(rotation, benchOf);
  if (looksAfter === true) describeUpkeep(benchOf);
  if (signsTokens === true) describeTokens(subject, benchOf);
  if (certifies === true) describeAuthority(benchOf);
}

function describeOpening(benchOf: BenchOf): void {
  test("after close, every call rejects", async () => {
    const bench = benchOf();
    const open = bench.openAgain();
    await open.close();
    await expect(open.issue(bench.plan(), bench.issueCall())).rejects.toThrow(/closed/);
    await expect(open.recover(bench.plan(), null, bench.recoverCall())).rejects.toThrow(/closed/);
    await expect(open.selfCheck([], bench.call())).rejects.toThrow(/closed/);
  });
  test("the opened backend offers what the type's capabilities say", () => {
    const { backend, open } = benchOf();
    const { lateMint, canList, expiryEnforcedBy } = backend.capabilities;
    expect(lateMint === "refused" || canList || expiryEnforcedBy === "upstream").toBe(true);
    expect(open.revocation).toBe(backend.capabilities.revocation);
    expect("revoke" in open).toBe(backend.capabilities.revocation !== "none");
    expect("replaced" in open).toBe(backend.capabilities.standingSecret === true);
    expect(open.renewal.kind).toBe(backend.capabilities.canRenew ? "extend" : "none");
    expect(open.listing.kind).toBe(backend.capabilities.canList ? "marked" : "none");
  });
  test("the opened backend, and the upstream of its tests, have the members that the type has", () => {
    const { backend, open, upstream } = benchOf();
    const isThere = (...members: readonly unknown[]): readonly boolean[] =>
      members.map((member) => member !== undefined);
    const said = [backend.looksAfter, backend.signsTokens, backend.certifies];
    const expected = isThere(...said);
    expect(isThere(open.upkeep, open.verification, open.authority)).toEqual(expected);
    expect(isThere(upstream.upkeep, upstream.tokens, upstream.authority)).toEqual(expected);
    const { rotation } = backend;
    expect(isThere(open.adoptSecret)).toEqual(isThere(rotation));
    expect(isThere(open.obtainSecret)).toEqual([rotation?.madeBy === "upstream"]);
    expect(upstream.rotation?.madeBy).toBe(rotation?.madeBy);
  });
}

function describeUnsent(benchOf: BenchOf): void {
  test("I2. a call that was aborted before it was sent has no effect", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const signal = AbortSignal.abort(new Error("shutting down"));
    expect((await backendErrorOf(bench.open.issue(plan, bench.issueCall({ signal })))).effect).toBe(
      "none",
    );
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
  });
  test("I4. past issueBy nothing is sent, and the effect is none", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const late = bench.issueCall({ seconds: -1 });
    expect((await backendErrorOf(bench.open.issue(plan, late))).effect).toBe("none");
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
  });
}

function describeIssuing(subject: BackendContractSubject, benchOf: BenchOf): void {
  test("I1. what is issued works, under the planned name, no longer than planned", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const issued = await bench.open.issue(plan, bench.issueCall());
    expect(await bench.upstream.tryCredential(issued.material)).toBe("accepted");
    expect(await bench.upstream.liveNames()).toContain(plan.externalName);
    expect(issued.expiresAt).toBeLessThanOrEqual(plan.expiresAt);
    expect(issued.material[issued.fingerprintOf]).toBeInstanceOf(Secret);
    expect(issued.handle).toBeInstanceOf(Secret);
  });
  test("I2. an issue that is aborted under way does not claim to have had no effect", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const blocked = await bench.upstream.block();
    const caller = new AbortController();
    const issuing = backendErrorOf(
      bench.open.issue(plan, bench.issueCall({ seconds: 8, signal: caller.signal })),
    );
    await bench.upstream.pass(300);
    caller.abort(new Error("the caller's deadline"));
    expect((await issuing).effect).toBe("unknown");
    await blocked.release();
    const recovered = await bench.recoverUntilSettled(plan);
    if (recovered.outcome === "expires") return;
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
  });
  test.skipIf(subject.selfContained !== undefined)(
    "I3. a second issue under a name fails and leaves the first as it was",
    async () => {
      const bench = benchOf();
      const plan = bench.plan();
      const first = await bench.open.issue(plan, bench.issueCall());
      await backendErrorOf(bench.open.issue(plan, bench.issueCall()));
      expect(await bench.upstream.tryCredential(first.material)).toBe("accepted");
    },
  );
  test("I5. an issue that breaks off at a checkpoint goes no further, and recovery has its handle", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const handles: Secret[] = [];
    const checkpoint = async (handle: Secret): Promise<void> => {
      handles.push(handle);
      throw new Error("the ledger could not keep it");
    };
    const issuing = bench.open.issue(plan, { ...bench.issueCall(), checkpoint });
    const isIssued = await issuing.then(
      () => true,
      () => false,
    );
    // A type whose steps all bear the name has no checkpoint; another stops at its first.
    expect(handles).toHaveLength(isIssued ? 0 : 1);
    const recovered = await bench.recoverUntilSettled(plan, handles[0] ?? null);
    if (recovered.outcome === "expires") return;
    expect(await bench.upstream.liveNames()).not.toContain(plan.externalName);
  });
  test("many at once are each issued their own", async () => {
    const bench = benchOf();
    const all = await Promise.all(
      Array.from({ length: 12 }, () => bench.open.issue(bench.plan(), bench.issueCall())),
    );
    for (const issued of all) {
      expect(await bench.upstream.tryCredential(issued.material)).toBe("accepted");
    }
    const secrets = all.map(({ material, fingerprintOf }) => material[fingerprintOf]);
    const exposed = secrets.map((secret) =>
      secret instanceof Secret ? secret.expose("crypto") : "",
    );
    expect(new Set(exposed).size).toBe(all.length);
  });
}

function describeExpiry(benchOf: BenchOf): void {
  test("what expires upstream is refused once its time has passed", async () => {
    const bench = benchOf();
    const issued = await bench.open.issue(bench.plan(1), bench.issueCall());
    await bench.upstream.pass(2_100);
    expect(await bench.upstream.tryCredential(issued.material)).toBe("refused");
  });
}

function describeUnreachable(subject: BackendContractSubject, benchOf: BenchOf): void {
  describe("on an upstream that is not there", () => {
    let open: OpenBackend;
    beforeAll(() => {
      open = benchOf().openAgain(subject.unreachableConfig);
    });
    afterAll(() => open.close());

    test("O1. opening calls nobody, so it succeeds", async () => {
      await expect(benchOf().openAgain(subject.unreachableConfig).close()).resolves.toBeUndefined();
    });
    if (subject.selfContained === undefined) describeNobodyThere(benchOf, () => open);
    else describeNobodyAsked(benchOf, () => open);
    if (subject.backend.capabilities.revocation === "none") return;
    test("V2, B2. revoke and probe throw, and the credential lives", async () => {
      const bench = benchOf();
      const issued = await bench.open.issue(bench.plan(), bench.issueCall());
      await backendErrorOf(revoking(open).revoke(issued.handle, bench.call()));
      await backendErrorOf(revoking(open).probe(issued.handle, bench.call()));
      expect(await bench.upstream.tryCredential(issued.material)).toBe("accepted");
    });
  });
}

function describeNobodyThere(benchOf: BenchOf, openOf: () => OpenBackend): void {
  test("I2. an issue fails with effect none", async () => {
    const error = await backendErrorOf(openOf().issue(benchOf().plan(), benchOf().issueCall()));
    expect(error.effect).toBe("none");
    expect(error.message).not.toBe("");
  });
  test("R3. recover does not say absent: it throws", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    // Of a lease that had no slot, the ledger knows that nothing is there.
    if (bench.backend.capabilities.pooled) await bench.open.issue(plan, bench.issueCall());
    const recovering = openOf().recover(plan, null, bench.recoverCall());
    expect((await backendErrorOf(recovering)).message).not.toBe("");
  });
  test("S1. selfCheck is an error, not a clean bill", async () => {
    const thrown: unknown = await openOf()
      .selfCheck([], benchOf().call())
      .catch((error: unknown) => error);
    expect(BrokerError.is(thrown)).toBe(true);
  });
}

function describeNobodyAsked(benchOf: BenchOf, openOf: () => OpenBackend): void {
  test("I1. what is made without it is issued all the same", async () => {
    const bench = benchOf();
    const issued = await openOf().issue(bench.plan(), bench.issueCall());
    expect(await bench.upstream.tryCredential(issued.material)).toBe("accepted");
  });
  test("S1, S2. selfCheck has a problem, not a clean bill", async () => {
    const { problems } = await openOf().selfCheck([], benchOf().call());
    expect(problems.length).toBeGreaterThan(0);
    for (const { code, what, fix } of problems) expect([code, what, fix]).not.toContain("");
  });
}

function renewalOf(bench: BackendBench) {
  if (bench.open.renewal.kind === "none") throw new Error("this backend cannot renew");
  return bench.open.renewal;
}

function describeRenewal(benchOf: BenchOf): void {
  test("N1. a renewed credential outlives its first expiry, and no more than asked", async () => {
    const bench = benchOf();
    const plan = bench.plan(2);
    const issued = await bench.open.issue(plan, bench.issueCall());
    const until = plusSeconds(plan.expiresAt, 60);
    const now = await renewalOf(bench).extend(plan, issued.handle, until, bench.issueCall());
    expect(now).toBeLessThanOrEqual(until);
    expect(now).toBeGreaterThan(plan.expiresAt);
    await bench.upstream.pass(3_000);
    expect(await bench.upstream.tryCredential(issued.material)).toBe("accepted");
  });
  test("N2. past issueBy nothing is renewed, and the effect is none", async () => {
    const bench = benchOf();
    const plan = bench.plan();
    const issued = await bench.open.issue(plan, bench.issueCall());
    const late = bench.issueCall({ seconds: -1 });
    const renewing = renewalOf(bench).extend(
      plan,
      issued.handle,
      plusSeconds(plan.expiresAt, 60),
      late,
    );
    expect((await backendErrorOf(renewing)).effect).toBe("none");
  });
}

async function listed(bench: BackendBench) {
  const { listing } = bench.open;
  if (listing.kind === "none") throw new Error("this backend cannot list");
  const found = new Map<string, Awaited<ReturnType<typeof listing.list>>["marked"][number]>();
  let after: string | null = null;
  for (let pages = 0; pages < 200; pages++) {
    const page = await listing.list(after, bench.call());
    expect(page.marked.length).toBeLessThanOrEqual(1_000);
    for (const marked of page.marked) {
      expect(found.has(marked.externalName)).toBe(false);
      found.set(marked.externalName, marked);
    }
    if (page.next === null) return found;
    after = page.next;
  }
  throw new Error("the listing had no end after 200 pages");
}

function describeListing(subject: BackendContractSubject, benchOf: BenchOf): void {
  test("L1. lists what is ours with a handle, page by page", async () => {
    const bench = benchOf();
    const plans = Array.from({ length: 5 }, () => bench.plan());
    for (const plan of plans) await bench.open.issue(plan, bench.issueCall());
    const found = await listed(bench);
    for (const plan of plans) {
      const mark = found.get(plan.externalName)?.mark;
      expect(mark?.kind === "ours" && mark.leaseId).toBe(plan.leaseId);
    }
  });
  test("L1. another installation's is foreign, and a forged mark unverified", async () => {
    const bench = benchOf();
    const stranger = new BackendBench(subject, bench.upstream, "stranger");
    const [theirs, forged] = [stranger.plan(), bench.plan()];
    await stranger.open.issue(theirs, stranger.issueCall());
    await bench.open.issue(forged, bench.issueCall());
    await bench.upstream.forgeMark(forged.externalName);
    const found = await listed(bench);
    expect(found.get(theirs.externalName)?.mark).toEqual({
      kind: "foreign",
      installation: "stranger",
    });
    expect(found.get(forged.externalName)?.mark).toEqual({ kind: "unverified" });
    await stranger.open.close();
  });
}

function describeSelfCheck(benchOf: BenchOf): void {
  test("S1. a good authority has no problems, changes nothing, and is always the same", async () => {
    const bench = benchOf();
    const before = await bench.upstream.liveNames();
    const roles = [bench.backend.parseRole(bench.upstream.role)];
    const [first, second] = [
      await bench.open.selfCheck(roles, bench.call()),
      await bench.open.selfCheck(roles, bench.call()),
    ];
    expect(first.problems).toEqual([]);
    expect(first.upstreamIdentity).not.toBe("");
    expect(second.upstreamIdentity).toBe(first.upstreamIdentity);
    expect(await bench.upstream.liveNames()).toEqual(before);
  });
}

function describeMissingRights(benchOf: BenchOf): void {
  test("S2. a missing right is a problem with a code, what it is and what to do", async () => {
    const bench = benchOf();
    const weakened = await bench.upstream.weaken();
    try {
      const roles = [bench.backend.parseRole(bench.upstream.role)];
      const { problems } = await bench.open.selfCheck(roles, bench.call());
      expect(problems.length).toBeGreaterThan(0);
      for (const problem of problems) {
        expect(problem.code).toMatch(/^[a-z][a-z0-9_]*$/);
        expect(problem.what).not.toBe("");
        expect(problem.fix).not.toBe("");
      }
    } finally {
      await weakened.restore();
    }
  });
}
