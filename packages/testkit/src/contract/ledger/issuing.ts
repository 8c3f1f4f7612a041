import { describe, expect, test } from "vitest";
import { durationSeconds, parsePolicyId, plusSeconds, workloadName } from "@mayfly/spec";
import {
  activation,
  activeLease,
  ADMIN,
  backendRecord,
  claimOne,
  decision,
  endTask,
  eventKinds,
  identity,
  LIMITS,
  mintId,
  newTask,
  openTask,
  refusedWith,
  registerBackend,
  reservationOf,
  reserve,
  reserveLease,
} from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

/** Steps 6 to 8 of the exchange, and renewal. */
export function describeIssuing(ledgerOf: () => LedgerUnderTest): void {
  describe("issuing", () => {
    test("G1. a reserved lease is on record, with its task, decision and plan, before anything is minted", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const open = newTask(ledger, { verifiedInitiator: "bob@acme.test", ref: "JIRA-1" });
      const reservation = await reservationOf(ledger, backend, { open });
      const { task, leases, generation } = await reserve(ledger, reservation);

      expect(generation).toBe(0);
      expect(task).toMatchObject({
        id: open.id,
        rootId: open.id,
        ancestors: [],
        depth: 0,
        state: "active",
        endRequested: false,
        verifiedInitiator: "bob@acme.test",
        initiatorTrustRoot: "login",
        deadlineAt: open.deadlineAt,
        identityProvenAt: open.identity.provenAt,
        endedAt: null,
      });
      expect(task.workload).toEqual(open.identity.workload);
      expect(task.descriptor).toEqual(open.descriptor);
      expect(await ledger.tasks.find(task.id)).toEqual(task);
      const intent = reservation.leases[0]!;
      expect(leases.map((lease) => [lease.id, lease.state])).toEqual([[intent.id, "reserved"]]);
      const lease = await ledger.tasks.lease(intent.id);
      expect(lease).toMatchObject({
        taskId: task.id,
        role: backend.role,
        backendId: backend.id,
        backendRevision: 1,
        decisionId: intent.decisionId,
        workload: workloadName(open.identity.workload),
        state: "reserved",
        outcome: null,
        exposure: { kind: "unknown", reason: "unsettled" },
        plan: intent.plan,
        issueBy: intent.issueBy,
        settleBy: intent.settleBy,
        fingerprint: null,
        activatedAt: null,
      });
      const decided = await ledger.queries.decision(intent.decisionId);
      expect(decided).toEqual(reservation.decisions[0]);
    });

    test("whom an initiator's token told of is on record with the first task of the chain", async () => {
      const ledger = ledgerOf();
      const initiatorActors = ["spiffe://acme.test/portal", "https://b.test#web"];
      const open = newTask(ledger, { verifiedInitiator: "bob@acme.test", initiatorActors });
      const backend = await registerBackend(ledger);
      const { task } = await reserve(ledger, await reservationOf(ledger, backend, { open }));
      expect(await ledger.tasks.initiatorActors(task.id)).toEqual(initiatorActors);
      const child = await openTask(ledger, { parent: task });
      expect(await ledger.tasks.initiatorActors(child.rootId)).toEqual(initiatorActors);
      expect(await ledger.tasks.initiatorActors(child.id)).toEqual([]);
      const alone = await openTask(ledger, { verifiedInitiator: "bob@acme.test" });
      expect(await ledger.tasks.initiatorActors(alone.id)).toEqual([]);
    });

    test("G1. several leases are reserved together, or none is", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const task = await openTask(ledger);
      const both = await reservationOf(ledger, backend, { under: task, leases: 3 });
      expect((await reserve(ledger, both)).leases).toHaveLength(3);

      const limits = { ...LIMITS, perTask: 5 };
      const tooMany = await reservationOf(ledger, backend, {
        under: task,
        leases: 3,
        reservation: { limits },
      });
      await refusedWith("lease_limit", reserve(ledger, tooMany));
      expect(await ledger.tasks.leasesBelow(task.id, 100)).toHaveLength(3);
      for (const { id } of tooMany.leases) expect(await ledger.tasks.lease(id)).toBeNull();
    });

    test("the limits count what is live per task, per workload and per role", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task } = await activeLease(ledger, backend);
      const again = (limits: typeof LIMITS | object) =>
        reservationOf(ledger, backend, {
          under: task,
          reservation: { limits: { ...LIMITS, ...limits } },
        }).then((reservation) => reserve(ledger, reservation));
      await refusedWith("lease_limit", again({ perTask: 1 }));
      await refusedWith("lease_limit", again({ perWorkload: 1 }));
      await refusedWith("lease_limit", again({ perRole: 1 }));
      const granted = await again({ perTask: 2, perWorkload: 2, perRole: 2 });
      expect(granted.leases).toHaveLength(1);
    });

    test("a decision made on an older catalogue is refused as stale, and nothing is written", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const reservation = await reservationOf(ledger, backend);
      await ledger.catalog.putBackend(
        backendRecord(backend.id, { revision: 2, sealedConfig: Uint8Array.of(9) }),
        ADMIN,
      );
      expect(await ledger.issue.reserve(reservation)).toEqual({ kind: "stale_catalog" });
      expect(await ledger.tasks.lease(reservation.leases[0]!.id)).toBeNull();
    });

    test("a child task stands below its parent, and its deadline within the parent's", async () => {
      const ledger = ledgerOf();
      const root = await openTask(ledger, { deadlineSeconds: 100 });
      const child = await openTask(ledger, { parent: root, deadlineSeconds: 1000 });
      const grandchild = await openTask(ledger, { parent: child, deadlineSeconds: 50 });
      expect(child).toMatchObject({ parentId: root.id, rootId: root.id, depth: 1 });
      expect(child.deadlineAt).toBe(root.deadlineAt);
      expect(grandchild.ancestors).toEqual([root.id, child.id]);
      expect(grandchild.depth).toBe(2);
      expect(grandchild.deadlineAt).toBeLessThan(root.deadlineAt);
    });

    test("a task that does not exist has nothing reserved under it, and no children", async () => {
      const ledger = ledgerOf();
      const task = { ...(await openTask(ledger)), id: mintId("task") };
      const backend = await registerBackend(ledger);
      const under = await reservationOf(ledger, backend, { under: task });
      await refusedWith("not_found", reserve(ledger, under));
      await refusedWith("not_found", openTask(ledger, { parent: task }));
      expect(await ledger.tasks.find(task.id)).toBeNull();
    });

    test("fresh proof under an open task moves its proof of identity forward, never back", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const who = identity(ledger);
      const task = await openTask(ledger, { identity: who });
      const provenAt = plusSeconds(who.provenAt, 30);
      const proof = { ...who, provenAt, tokenSha256: "ab".repeat(32) };
      const later = await reservationOf(ledger, backend, { under: task, leases: 0, proof });
      expect((await reserve(ledger, later)).task.identityProvenAt).toBe(provenAt);
      const older = await reservationOf(ledger, backend, { under: task, leases: 0, proof: who });
      expect((await reserve(ledger, older)).task.identityProvenAt).toBe(provenAt);
      expect(await eventKinds(ledger, { taskId: task.id })).toEqual([
        "task.opened",
        "task.heartbeat_proven",
        "task.heartbeat_proven",
      ]);
    });

    test("an activated lease has its expiry and fingerprint, and never shows its handle", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { lease, intent } = await reserveLease(ledger, backend);
      const given = activation(ledger, { expiresAt: intent.plan.expiresAt });
      const result = await ledger.issue.activate(lease, given);
      expect(result).toMatchObject({ kind: "active", lease: { id: lease.id, state: "active" } });
      const read = await ledger.tasks.lease(lease.id);
      expect(read).toMatchObject({
        state: "active",
        fingerprint: given.fingerprint,
        expiresAt: intent.plan.expiresAt,
        exposure: { kind: "until", until: intent.plan.expiresAt, reason: "live" },
      });
      expect(Object.keys(read!).some((name) => /handle/i.test(name))).toBe(false);
    });

    test("G4. a lease is activated once; the loser is told", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { lease } = await reserveLease(ledger, backend);
      const results = await Promise.all(
        [1, 2, 3].map(() => ledger.issue.activate(lease, activation(ledger))),
      );
      expect(results.map((result) => result.kind).toSorted()).toEqual([
        "active",
        "refused",
        "refused",
      ]);
      await refusedWith("conflict", ledger.issue.abandon(lease, "late"));
      await refusedWith("conflict", ledger.issue.checkpoint(lease, Uint8Array.of(1)));
    });

    test("G4. a lease that recovery took is not activated any more, nor abandoned", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { lease } = await reserveLease(ledger, backend, { settleSeconds: 0.02 });
      await ledger.pass(60);
      const claim = await claimOne(ledger, backend);
      expect(claim.work).toMatchObject({ kind: "recover", sealedHandle: null });
      expect(await ledger.issue.activate(lease, activation(ledger))).toEqual({ kind: "refused" });
      await refusedWith("conflict", ledger.issue.abandon(lease, "late"));
    });

    test("a checkpoint is what recovery gets, and leaves the handle good for activation", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const first = await reserveLease(ledger, backend, { settleSeconds: 0.02 });
      await ledger.issue.checkpoint(first.lease, Uint8Array.of(7, 0, 7));
      await ledger.pass(60);
      const { work } = await claimOne(ledger, backend);
      expect(work.kind).toBe("recover");
      expect(Uint8Array.from(work.sealedHandle!)).toEqual(Uint8Array.of(7, 0, 7));

      const second = await reserveLease(ledger, backend);
      await ledger.issue.checkpoint(second.lease, Uint8Array.of(7));
      const result = await ledger.issue.activate(second.lease, activation(ledger));
      expect(result.kind).toBe("active");
    });

    test("G2. an abandoned lease stays on record as ended, and exposes nothing", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { lease } = await reserveLease(ledger, backend);
      await ledger.issue.abandon(lease, "the pool was full");
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({
        state: "ended",
        outcome: "abandoned",
        exposure: { kind: "none" },
        endReason: "the pool was full",
      });
      expect(await ledger.issue.activate(lease, activation(ledger))).toEqual({ kind: "refused" });
    });

    test("G3. each step of a lease's life leaves its event", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      await endTask(ledger, task.id);
      const claim = await claimOne(ledger, backend);
      const looked = { roles: 0, sessions: 0 };
      await ledger.sweep.settle(claim, { kind: "ended", outcome: "revoked", looked });
      expect(await eventKinds(ledger, { leaseId: lease.id })).toEqual([
        "decision.permitted",
        "lease.reserved",
        "lease.activated",
        "lease.ending",
        "lease.ended",
      ]);
      expect(await eventKinds(ledger, { taskId: task.id })).toEqual([
        "task.opened",
        "decision.permitted",
        "lease.reserved",
        "lease.activated",
        "task.end_requested",
        "task.ended",
        "lease.ending",
        "lease.ended",
      ]);
    });

    test("a denial is on record before the call returns, also without a task", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const denied = {
        ...decision(ledger, null),
        verdict: {
          effect: "deny" as const,
          why: "forbidden" as const,
          determining: [parsePolicyId("no-prod-writes", "policy")],
          explanation: "Policy 'no-prod-writes' forbids it.",
        },
      };
      await ledger.issue.recordDenial({ decision: denied, workload: "w", role: backend.role });
      expect(await ledger.queries.decision(denied.id)).toEqual(denied);
      const { items } = await ledger.queries.events(
        { kind: "decision.denied" },
        { limit: 1000, after: null },
      );
      expect(items.find((event) => event.decisionId === denied.id)).toMatchObject({
        actor: { kind: "workload", name: "w" },
        taskId: null,
      });
    });

    test("G8. requests that are refused do not fail those beside them", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const ended = await openTask(ledger);
      await endTask(ledger, ended.id);
      const lost = { ...ended, id: mintId("task") };
      const good = await Promise.all([1, 2, 3].map(() => reservationOf(ledger, backend)));
      const bad = await Promise.all(
        [ended, lost].map((under) => reservationOf(ledger, backend, { under })),
      );
      const limited = await reservationOf(ledger, backend, {
        reservation: { limits: { perTask: 0, perWorkload: 0, perRole: 0 } },
      });
      const stale = await reservationOf(ledger, backend, { reservation: { catalogVersion: -1 } });
      const outcomes = await Promise.allSettled([
        ledger.issue.reserve(good[0]!),
        ledger.issue.reserve(bad[0]!),
        ledger.issue.reserve(good[1]!),
        ledger.issue.reserve(bad[1]!),
        ledger.issue.reserve(limited),
        ledger.issue.reserve(stale),
        ledger.issue.reserve(good[2]!),
      ]);
      const told = outcomes.map((outcome) =>
        outcome.status === "fulfilled"
          ? outcome.value.kind
          : (outcome.reason as { code: string }).code,
      );
      expect(told).toEqual([
        "reserved",
        "task_ended",
        "reserved",
        "not_found",
        "lease_limit",
        "stale_catalog",
        "reserved",
      ]);
    });
  });

  describe("renewing", () => {
    test("records the later expiry and its decision, and hands out the handle", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease, handle } = await activeLease(ledger, backend, { ttlSeconds: 60 });
      const decided = decision(ledger, task.id);
      const expiresAt = plusSeconds(ledger.now(), 120);
      const recorded = await ledger.issue.recordRenewal({
        leaseId: lease.id,
        expiresAt,
        decision: decided,
        catalogVersion: await ledger.catalog.version(),
      });
      if (recorded.kind !== "recorded") throw new Error(recorded.kind);
      expect(Uint8Array.from(recorded.sealedHandle)).toEqual(handle);
      expect(recorded.lease).toMatchObject({ id: lease.id, state: "active", expiresAt });
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({ expiresAt });
      expect(await ledger.queries.decision(decided.id)).toEqual(decided);
      expect(await eventKinds(ledger, { leaseId: lease.id })).toContain("lease.renewed");
    });

    test("only moves the expiry later, within the deadline, of an active lease", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend, { ttlSeconds: 60 });
      const catalogVersion = await ledger.catalog.version();
      const renew = (leaseId: typeof lease.id, seconds: number, version = catalogVersion) =>
        ledger.issue.recordRenewal({
          leaseId,
          expiresAt: plusSeconds(ledger.now(), seconds),
          decision: decision(ledger, task.id),
          catalogVersion: version,
        });
      await refusedWith("not_found", renew(mintId("lease"), 90));
      await refusedWith("conflict", renew(lease.id, 30));
      await refusedWith("conflict", renew(lease.id, 100_000));
      expect(await renew(lease.id, 90, catalogVersion - 1)).toEqual({ kind: "stale_catalog" });
      const reserved = await reserveLease(ledger, backend, { under: task });
      await refusedWith("conflict", renew(reserved.lease.id, 100_000));
      await ledger.tasks.endLease(lease.id, ADMIN, "enough");
      await refusedWith("conflict", renew(lease.id, 90));
    });

    test("makes the lease due later", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend, { ttlSeconds: 0.8 });
      await ledger.issue.recordRenewal({
        leaseId: lease.id,
        expiresAt: plusSeconds(ledger.now(), 100),
        decision: decision(ledger, task.id),
        catalogVersion: await ledger.catalog.version(),
      });
      await ledger.pass(850);
      expect(await ledger.sweep.claim(backend.id, 10, durationSeconds(5))).toEqual([]);
    });
  });
}
