import { describe, expect, test } from "vitest";
import {
  durationSeconds,
  instantMs,
  plusSeconds,
  type BackendId,
  type Lease,
  type LeaseId,
} from "@mayfly/spec";
import {
  activeLease,
  ADMIN,
  claimOne,
  endTask,
  eventKinds,
  mintId,
  openTask,
  refusedWith,
  registerBackend,
  reservationOf,
  reserve,
  reserveLease,
} from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const SECOND = durationSeconds(1);
const LOOKED = { roles: 0, sessions: 0, prepared: 0 };

/** What the worker's passes find, claim and settle. */
export function describeSweeping(ledgerOf: () => LedgerUnderTest): void {
  describe("due tasks", () => {
    const dueOf = async (ledger: LedgerUnderTest, id: string): Promise<string | null> =>
      (await ledger.sweep.dueTasks(1000)).find((task) => task.id === id)?.due ?? null;

    test("G6. a task is due at its deadline by the ledger's clock, whatever its heartbeat", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const task = await openTask(ledger, { deadlineSeconds: 0.8, idleTimeoutSeconds: 100 });
      expect(await dueOf(ledger, task.id)).toBeNull();
      await ledger.pass(850);
      expect(await dueOf(ledger, task.id)).toBe("deadline");
      expect(await ledger.tasks.heartbeat(task.id, null)).toBe("ended");
      await refusedWith(
        "task_ended",
        reserve(ledger, await reservationOf(ledger, backend, { under: task })),
      );
      await endTask(ledger, task.id, "expired");
      expect(await dueOf(ledger, task.id)).toBeNull();
    });

    test("G6. a task without a heartbeat is idle, and one with is not", async () => {
      const ledger = ledgerOf();
      const task = await openTask(ledger, { idleTimeoutSeconds: 1 });
      await ledger.pass(700);
      expect(await ledger.tasks.heartbeat(task.id, null)).toBe("beaten");
      await ledger.pass(400);
      expect(await dueOf(ledger, task.id)).toBeNull();
      await ledger.pass(700);
      expect(await dueOf(ledger, task.id)).toBe("idle");
    });

    test("a task is idle from the very instant at which its timeout has passed", async () => {
      const ledger = ledgerOf();
      const task = await openTask(ledger, { idleTimeoutSeconds: 1 });
      await ledger.pass(1_000);
      expect(await dueOf(ledger, task.id)).toBe("idle");
    });

    test("an end that was requested and not applied is due until it is", async () => {
      const ledger = ledgerOf();
      const task = await openTask(ledger);
      const end = { taskId: task.id, state: "killed", actor: ADMIN, reason: "r" } as const;
      await ledger.tasks.requestEnd(end);
      expect(await dueOf(ledger, task.id)).toBe("end_requested");
      await ledger.tasks.applyEnd(task.id);
      expect(await dueOf(ledger, task.id)).toBeNull();
    });
  });

  describe("claims", () => {
    test("G6. an active lease is due at its expiry, to be revoked", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease, handle } = await activeLease(ledger, backend, { ttlSeconds: 0.8 });
      expect(await ledger.sweep.claim(backend.id, 10, SECOND)).toEqual([]);
      await ledger.pass(850);
      expect(await ledger.sweep.dueBackends()).toContain(backend.id);
      const claim = await claimOne(ledger, backend);
      expect(claim).toMatchObject({
        leaseId: lease.id,
        taskId: task.id,
        backendId: backend.id,
        backendRevision: 1,
        attempts: 0,
        plan: { leaseId: lease.id },
        work: { kind: "revoke" },
      });
      expect(claim.dueForSeconds).toBeGreaterThanOrEqual(0);
      expect(claim.dueForSeconds).toBeLessThan(60);
      expect(Uint8Array.from(claim.work.sealedHandle!)).toEqual(handle);
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({
        state: "ending",
        exposure: { kind: "unknown", reason: "live" },
      });
    });

    test("G6. a reserved lease is due after its settleBy, to be recovered, and not before", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { lease } = await reserveLease(ledger, backend, { settleSeconds: 0.8 });
      expect(await ledger.sweep.claim(backend.id, 10, SECOND)).toEqual([]);
      await ledger.tasks.endLease(lease.id, ADMIN, "not even when its end was requested");
      expect(await ledger.sweep.claim(backend.id, 10, SECOND)).toEqual([]);
      await ledger.pass(850);
      const { work } = await claimOne(ledger, backend);
      if (work.kind !== "recover") throw new Error("it is to be recovered");
      expect(work.settledForSeconds).toBeGreaterThanOrEqual(0);
      expect(work.settledForSeconds).toBeLessThan(60);
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({
        state: "ending",
        exposure: { kind: "unknown", reason: "unsettled" },
      });
      expect(await eventKinds(ledger, { leaseId: lease.id })).toContain("lease.recovering");
    });

    test("what is claimed is claimed by nobody else until the claim runs out", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task } = await activeLease(ledger, backend);
      await endTask(ledger, task.id);
      const [first] = await ledger.sweep.claim(backend.id, 10, durationSeconds(0.8));
      expect(await ledger.sweep.claim(backend.id, 10, SECOND)).toEqual([]);
      await ledger.pass(850);
      const second = await claimOne(ledger, backend);
      expect(second.leaseId).toBe(first!.leaseId);
      expect(second.token).not.toBe(first!.token);
    });

    test("G4. a claim that another took over settles nothing", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      await endTask(ledger, task.id);
      const [first] = await ledger.sweep.claim(backend.id, 10, durationSeconds(0.01));
      await ledger.pass(30);
      const second = await claimOne(ledger, backend);
      const ended = { kind: "ended", outcome: "revoked", looked: LOOKED } as const;
      expect(await ledger.sweep.settle(first!, ended)).toBe(false);
      expect((await ledger.tasks.lease(lease.id))!.state).toBe("ending");
      expect(await ledger.sweep.settle(second, ended)).toBe(true);
      expect(await ledger.sweep.settle(second, ended)).toBe(false);
    });

    test("a pass takes at most so many, of its own backend alone, the longest due first", async () => {
      const ledger = ledgerOf();
      const [backend, other] = [await registerBackend(ledger), await registerBackend(ledger)];
      const task = await openTask(ledger);
      const leases: Lease[] = [];
      for (const ttlSeconds of [0.3, 0.2, 0.1]) {
        const { lease } = await activeLease(ledger, backend, { under: task, ttlSeconds });
        leases.push((await ledger.tasks.lease(lease.id))!);
      }
      // On a slow machine the last that was made may be due last after all.
      const due = leases.toSorted((a, b) => a.expiresAt - b.expiresAt).map(({ id }) => id);
      await activeLease(ledger, other, { under: task, ttlSeconds: 0.1 });
      await ledger.pass(400);
      const claims = await ledger.sweep.claim(backend.id, 2, SECOND);
      expect(claims.map((claim) => claim.leaseId)).toEqual(due.slice(0, 2));
      const late = instantMs(Math.max(...leases.map(({ expiresAt }) => expiresAt)) + 1);
      expect(await ledger.sweep.claim(backend.id, 10, SECOND, late)).toEqual([]);
      expect(await ledger.sweep.claim(backend.id, 10, SECOND, claims[1]!.dueAt)).toHaveLength(1);
    });
  });

  describe("settling", () => {
    test("an ended lease says how, and what was looked at", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      await endTask(ledger, task.id);
      const claim = await claimOne(ledger, backend);
      const ended = { kind: "ended", outcome: "revoked", looked: LOOKED } as const;
      expect(await ledger.sweep.settle(claim, ended)).toBe(true);
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({
        state: "ended",
        outcome: "revoked",
        exposure: { kind: "none" },
        looked: LOOKED,
        nextAttemptAt: null,
      });
      const { items } = await ledger.queries.events(
        { leaseId: lease.id, kind: "lease.ended" },
        { limit: 10, after: null },
      );
      expect(items[0]!.data).toMatchObject({ outcome: "revoked", looked: LOOKED });
    });

    test("waiting keeps the lease open, says how long it is exposed, and counts as no failure", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      await endTask(ledger, task.id);
      const until = plusSeconds(ledger.now(), 60);
      const exposure = { kind: "until", until, reason: "propagating" } as const;
      const wait = { kind: "wait", seconds: durationSeconds(0.8), exposure } as const;
      expect(await ledger.sweep.settle(await claimOne(ledger, backend), wait)).toBe(true);
      expect(await ledger.sweep.claim(backend.id, 10, SECOND)).toEqual([]);
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({ state: "ending", exposure });
      await ledger.pass(850);
      expect((await claimOne(ledger, backend)).attempts).toBe(0);
      expect(await eventKinds(ledger, { leaseId: lease.id })).toContain("lease.waiting");
    });

    test("a failure is retried later, then stuck, still retried, and resolved in the end", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      await endTask(ledger, task.id);
      const failed = (stuck: boolean) =>
        ({
          kind: "failed",
          error: "connection refused",
          retryInSeconds: durationSeconds(0.02),
          stuck,
        }) as const;
      expect(await ledger.sweep.settle(await claimOne(ledger, backend), failed(false))).toBe(true);
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({
        state: "ending",
        attempts: 1,
        lastError: "connection refused",
      });
      await ledger.pass(40);
      expect(await ledger.sweep.settle(await claimOne(ledger, backend), failed(true))).toBe(true);
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({
        state: "stuck",
        attempts: 2,
        exposure: { kind: "unknown", reason: "stuck" },
      });
      expect((await ledger.health.read(backend.id)).stuck).toBe(1);
      await ledger.pass(40);
      const third = await claimOne(ledger, backend);
      expect(third.attempts).toBe(2);
      expect(await ledger.sweep.settle(third, failed(false))).toBe(true);
      expect((await ledger.tasks.lease(lease.id))!.state).toBe("stuck");
      await ledger.pass(40);
      const ended = { kind: "ended", outcome: "absent", looked: LOOKED } as const;
      expect(await ledger.sweep.settle(await claimOne(ledger, backend), ended)).toBe(true);
      expect((await ledger.health.read(backend.id)).stuck).toBe(0);
      const kinds = await eventKinds(ledger, { leaseId: lease.id });
      expect(kinds.slice(-5)).toEqual([
        "lease.ending",
        "lease.retried",
        "lease.stuck",
        "lease.retried",
        "lease.ended",
      ]);
    });
  });

  describe("orphans", () => {
    const marked = (leaseId: LeaseId) => ({
      mark: { kind: "ours" as const, leaseId, handle: undefined as never },
      externalName: `mf_${leaseId.slice(-6)}`,
      sealedHandle: Uint8Array.of(4, 2),
    });

    /** As if listed a minute after all that was done before. */
    const listedLater = (ledger: LedgerUnderTest) => plusSeconds(ledger.now(), 60);
    const adopt = async (ledger: LedgerUnderTest, backendId: BackendId, leaseId: LeaseId) =>
      (await ledger.sweep.adoptOrphans(backendId, [marked(leaseId)], listedLater(ledger))).orphans;
    const NONE = { orphans: [], unverified: [] };

    test("what belongs to a live lease is none", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      const { lease: reserved } = await reserveLease(ledger, backend, { under: task });
      const listed = [marked(lease.id), marked(reserved.id)];
      expect(await ledger.sweep.adoptOrphans(backend.id, listed, listedLater(ledger))).toEqual(
        NONE,
      );
      expect((await ledger.tasks.lease(lease.id))!.state).toBe("active");
    });

    test("what belongs to an ended lease reopens it, to be destroyed by the handle found", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { lease } = await reserveLease(ledger, backend);
      await ledger.issue.abandon(lease, "thought to have had no effect");
      expect(await adopt(ledger, backend.id, lease.id)).toEqual([lease.id]);
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({
        state: "ending",
        outcome: null,
        endedAt: null,
      });
      const claim = await claimOne(ledger, backend);
      expect(Uint8Array.from(claim.work.sealedHandle!)).toEqual(Uint8Array.of(4, 2));
      expect(claim.work.kind).toBe("revoke");
      expect(await eventKinds(ledger, { leaseId: lease.id })).toContain("lease.resurfaced");
      expect(await adopt(ledger, backend.id, lease.id)).toEqual([]);
    });

    test("what belongs to a lease that ended after its listing began is none, until the next", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { lease } = await reserveLease(ledger, backend);
      const listedAt = await ledger.sweep.now();
      await ledger.pass(5);
      await ledger.issue.abandon(lease, "had no effect");
      const listed = [marked(lease.id)];
      expect(await ledger.sweep.adoptOrphans(backend.id, listed, listedAt)).toEqual(NONE);
      expect((await ledger.tasks.lease(lease.id))!.state).toBe("ended");
      expect(await eventKinds(ledger, { leaseId: lease.id })).not.toContain("lease.resurfaced");
      await ledger.pass(5);
      const next = await ledger.sweep.now();
      expect(await ledger.sweep.adoptOrphans(backend.id, listed, next)).toEqual({
        orphans: [lease.id],
        unverified: [],
      });
    });

    test("a mark of another backend reopens nothing", async () => {
      const ledger = ledgerOf();
      const [here, there] = [await registerBackend(ledger), await registerBackend(ledger)];
      const { lease: gone } = await reserveLease(ledger, here);
      await ledger.issue.abandon(gone, "had no effect");
      const { lease: live } = await activeLease(ledger, here);
      const before = [await ledger.tasks.lease(gone.id), await ledger.tasks.lease(live.id)];
      const listed = [marked(gone.id), marked(live.id)];
      const found = await ledger.sweep.adoptOrphans(there.id, listed, listedLater(ledger));
      expect(found.orphans).toEqual([]);
      expect(found.unverified.toSorted()).toEqual([gone.id, live.id].toSorted());
      expect([await ledger.tasks.lease(gone.id), await ledger.tasks.lease(live.id)]).toEqual(
        before,
      );
      expect(await eventKinds(ledger, { leaseId: gone.id })).not.toContain("lease.resurfaced");
      const due = await ledger.sweep.dueBackends();
      expect(due.filter((id) => id === here.id || id === there.id)).toEqual([]);
    });

    test("what bears an id younger than its listing is none, until the next", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const lost = mintId("lease");
      const earlier = plusSeconds(ledger.now(), -60);
      expect(await ledger.sweep.adoptOrphans(backend.id, [marked(lost)], earlier)).toEqual(NONE);
      expect(await ledger.tasks.lease(lost)).toBeNull();
      expect(await adopt(ledger, backend.id, lost)).toEqual([lost]);
    });

    test("what belongs to a lost row is given one, of which nothing else is known", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const lost = mintId("lease");
      expect(await adopt(ledger, backend.id, lost)).toEqual([lost]);
      expect(await ledger.tasks.lease(lost)).toMatchObject({
        taskId: null,
        role: null,
        workload: null,
        decisionId: null,
        backendId: backend.id,
        backendRevision: 1,
        state: "ending",
        plan: { leaseId: lost, externalName: `mf_${lost.slice(-6)}` },
      });
      const claim = await claimOne(ledger, backend);
      expect(claim).toMatchObject({ leaseId: lost, taskId: null, work: { kind: "revoke" } });
      const ended = { kind: "ended", outcome: "revoked", looked: LOOKED } as const;
      expect(await ledger.sweep.settle(claim, ended)).toBe(true);
    });
  });

  describe("strays and health", () => {
    test("nothing is astray after an end", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task } = await activeLease(ledger, backend);
      await openTask(ledger, { parent: task });
      await endTask(ledger, task.id);
      expect(await ledger.sweep.endStrays(100)).toBe(0);
    });

    test("ages are null until there was a sweep, and each listing counts for its backend", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      expect((await ledger.health.read(backend.id)).listingAgeSeconds).toBeNull();
      await ledger.sweep.recordSweep(null);
      await ledger.sweep.recordSweep(backend.id);
      await ledger.pass(100);
      const { sweepAgeSeconds, listingAgeSeconds, stuck } = await ledger.health.read(backend.id);
      expect(sweepAgeSeconds).toBeGreaterThan(0.05);
      expect(sweepAgeSeconds).toBeLessThan(10);
      expect(listingAgeSeconds).toBeGreaterThan(0.05);
      expect(stuck).toBe(0);
      const other = await registerBackend(ledger);
      expect((await ledger.health.read(other.id)).listingAgeSeconds).toBeNull();
    });
  });
}
