import { describe, expect, test } from "vitest";
import {
  durationSeconds,
  parsePolicyId,
  workloadName,
  type Decision,
  type Page,
  type PageRequest,
} from "@mayfly/spec";
import {
  activation,
  activeLease,
  ADMIN,
  claimOne,
  decision,
  endTask,
  identity,
  openTask,
  refusedWith,
  registerBackend,
  reserveLease,
  sha256,
  unique,
} from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const FIRST: PageRequest = { limit: 100, after: null };

const denied = (
  ledger: LedgerUnderTest,
  more: Partial<Decision> = {},
  policy = "no-prod-writes",
): Decision => ({
  ...decision(ledger, null),
  verdict: {
    effect: "deny",
    why: "forbidden",
    determining: [parsePolicyId(policy, "policy")],
    explanation: `Policy '${policy}' forbids it.`,
  },
  ...more,
});

async function allOf<T>(read: (page: PageRequest) => Promise<Page<T>>): Promise<readonly T[]> {
  const items: T[] = [];
  let after: string | null = null;
  do {
    const page: Page<T> = await read({ limit: 1, after });
    items.push(...page.items);
    after = page.next;
  } while (after !== null);
  return items;
}

/** What security teams ask, one query for each question. */
export function describeAsking(ledgerOf: () => LedgerUnderTest): void {
  describe("questions of security teams", () => {
    test("who holds what now, on whose behalf, and under which policy", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const [alice, bob, ref] = [unique("alice"), unique("bob"), unique("JIRA")];
      const mine = await openTask(ledger, { verifiedInitiator: alice, claimedInitiator: bob, ref });
      const theirs = await openTask(ledger, { claimedInitiator: bob });
      const { lease, fingerprint } = await activeLease(ledger, backend, { under: mine });
      const { lease: claimed } = await activeLease(ledger, backend, { under: theirs });
      const { lease: gone } = await reserveLease(ledger, backend, { under: mine });
      await ledger.issue.abandon(gone, "no effect");
      const filter = { backendId: backend.id, exposed: true };
      const { items } = await ledger.queries.holders(filter, FIRST);
      expect(items.map(({ lease: { id } }) => id)).toEqual(
        [lease.id, claimed.id].toSorted().toReversed(),
      );
      const holder = items.find(({ lease: { id } }) => id === lease.id);
      expect(holder).toMatchObject({
        lease: await ledger.tasks.lease(lease.id),
        task: { id: mine.id, state: "active", ref, goal: mine.descriptor.goal },
        initiator: { name: alice, basis: "verified" },
        policy: { digest: "9f".repeat(32), determining: ["bots-read"] },
      });
      expect(holder?.task?.trustRoot).toBe("acme.test");
      const other = items.find(({ lease: { id } }) => id === claimed.id);
      expect(other?.initiator).toEqual({ name: bob, basis: "claimed" });
      expect(await allOf((page) => ledger.queries.holders(filter, page))).toEqual(items);
      expect(await ledger.queries.byFingerprint([sha256(), fingerprint], 10)).toEqual([holder]);
      expect(await ledger.queries.byFingerprint([], 10)).toEqual([]);
      expect(await ledger.queries.byLeaseId([lease.id])).toEqual([holder]);
    });

    test("everything that an agent touched: leases and denials, newest first", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const who = identity(ledger);
      const workload = workloadName(who.workload);
      const task = await openTask(ledger, { identity: who });
      const { lease: first } = await activeLease(ledger, backend, { under: task });
      await ledger.pass(2);
      const refused = denied(ledger, { taskId: task.id });
      await ledger.issue.recordDenial({ decision: refused, workload, role: backend.role });
      await ledger.pass(2);
      const { lease: last } = await activeLease(ledger, backend, { under: task });
      await activeLease(ledger, backend);
      const touched = await allOf((page) => ledger.queries.touched({ workload }, page));
      expect(touched.map((one) => (one.kind === "lease" ? one.holder.lease.id : one))).toEqual([
        last.id,
        {
          kind: "denial",
          at: refused.decidedAt,
          decisionId: refused.id,
          role: backend.role,
          taskId: task.id,
          determining: ["no-prod-writes"],
          policyDigest: refused.policyDigest,
        },
        first.id,
      ]);
      const { reservedAt } = (await ledger.tasks.lease(last.id))!;
      const since = await ledger.queries.touched({ workload, from: reservedAt }, FIRST);
      expect(since.items).toEqual(touched.slice(0, 1));
      const before = await ledger.queries.touched({ workload, until: reservedAt }, FIRST);
      expect(before.items).toEqual(touched.slice(1));
    });

    test("what is exposed if an agent is compromised: its own leases, those below, what it may draw", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const who = identity(ledger);
      const workload = workloadName(who.workload);
      const root = await openTask(ledger, { identity: who });
      const child = await openTask(ledger, { parent: root });
      const { lease } = await activeLease(ledger, backend, { under: root, ttlSeconds: 400 });
      await reserveLease(ledger, backend, { under: root });
      await activeLease(ledger, backend, { under: child });
      const { expiresAt } = (await ledger.tasks.lease(lease.id))!;
      const found = await ledger.queries.exposure(workload);
      expect(found).toMatchObject({
        workload,
        leases: { leases: 2, unknown: 1, until: expiresAt },
        below: { leases: 1, unknown: 0 },
        tasksActive: 1,
        tasksUntil: root.deadlineAt,
        mayDraw: [],
      });
      await endTask(ledger, root.id);
      const ending = await ledger.queries.exposure(workload);
      expect(ending).toMatchObject({ leases: { leases: 2 }, tasksActive: 0, tasksUntil: null });
      expect((await ledger.queries.exposure(unique("nobody"))).leases.leases).toBe(0);
    });

    test("what outlives its lease is exposed until nobody knows when, from its activation on", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const who = identity(ledger);
      const under = await openTask(ledger, { identity: who });
      const { lease, intent } = await reserveLease(ledger, backend, { under });
      const exposure = { kind: "unknown", reason: "live" };
      const { expiresAt } = intent.plan;
      await ledger.issue.activate(lease, activation(ledger, { expiresAt, outlivesLease: true }));
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({ state: "active", exposure });
      const asked = async () => ledger.queries.exposure(workloadName(who.workload));
      const unknown = { leases: 1, unknown: 1, until: null };
      expect((await asked()).leases).toEqual(unknown);
      await ledger.tasks.endLease(lease.id, ADMIN, "done");
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({ state: "ending", exposure });
      const retryInSeconds = durationSeconds(60);
      const failed = { kind: "failed", error: "It was not replaced.", retryInSeconds } as const;
      await ledger.sweep.settle(await claimOne(ledger, backend), { ...failed, stuck: true });
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({ state: "stuck", exposure });
      expect((await asked()).leases).toEqual(unknown);
    });

    test("which leases ended late, how late and why", async () => {
      const ledger = ledgerOf();
      const [failing, slow] = [await registerBackend(ledger), await registerBackend(ledger)];
      const { lease } = await activeLease(ledger, failing);
      await ledger.tasks.endLease(lease.id, ADMIN, "done");
      await ledger.sweep.settle(await claimOne(ledger, failing), {
        kind: "failed",
        error: "the server does not answer",
        retryInSeconds: durationSeconds(0),
        stuck: false,
      });
      const { lease: waiting } = await activeLease(ledger, slow);
      await ledger.tasks.endLease(waiting.id, ADMIN, "done");
      const { lease: prompt } = await activeLease(ledger, slow);
      await ledger.pass(1200);
      await ledger.tasks.endLease(prompt.id, ADMIN, "done");
      await ledger.sweep.settle(await claimOne(ledger, failing), {
        kind: "ended",
        outcome: "revoked",
        looked: {},
      });
      const of = async (backend: typeof failing, overSeconds = 1) =>
        (await ledger.queries.lateEnds({ overSeconds, backendId: backend.id }, FIRST)).items;
      const [ended, ...more] = await of(failing);
      expect(more).toEqual([]);
      expect(ended).toMatchObject({
        lease: { id: lease.id, state: "ended", outcome: "revoked" },
        why: "failed_attempts",
      });
      expect(ended?.dueAt).toBe(ended?.lease.endRequestedAt);
      expect(ended?.lateSeconds).toBeGreaterThanOrEqual(1.2);
      expect(ended?.lateSeconds).toBeLessThan(30);
      const late = await of(slow);
      expect(late).toMatchObject([{ lease: { id: waiting.id }, why: "not_reached" }]);
      expect(await of(failing, 3600)).toEqual([]);
      await refusedWith("invalid_input", ledger.queries.lateEnds({ overSeconds: 0.5 }, FIRST));
    });

    test("which policies never permitted anything: each entry of the log counts once", async () => {
      const ledger = ledgerOf();
      const digest = sha256();
      const [used, unused] = [unique("used"), unique("unused")].map((id) =>
        parsePolicyId(id, "policy"),
      );
      const forbids = parsePolicyId(unique("forbids"), "policy");
      const permitted: Decision = {
        ...decision(ledger, null),
        policyDigest: digest,
        verdict: { effect: "permit", determining: [used!], explanation: "yes" },
      };
      const refused = denied(ledger, { policyDigest: digest }, forbids);
      const old = { ...permitted, ...decision(ledger, null), verdict: permitted.verdict };
      const backend = await registerBackend(ledger);
      const workload = unique("bot");
      for (const one of [permitted, old, refused]) {
        await ledger.issue.recordDenial({ decision: one, workload, role: backend.role });
      }
      const countAll = async () => {
        while ((await ledger.sequencer.append(1000)) > 0);
        while ((await ledger.sequencer.countPolicyUse(1000)) > 0);
      };
      await Promise.all([countAll(), countAll()]);
      await countAll();
      const { policies, uncounted } = await ledger.queries.policyUse(digest, [
        unused!,
        used!,
        forbids,
      ]);
      expect(uncounted).toBe(0);
      const none = { permits: 0, denials: 0, permitsEver: 0, denialsEver: 0 };
      expect(policies).toMatchObject([
        { id: unused, ...none, lastAt: null },
        { id: used, ...none, permits: 1, permitsEver: 2 },
        { id: forbids, ...none, denials: 1, denialsEver: 1 },
      ]);
      expect(policies[1]?.lastAt).not.toBeNull();
    });

    test("what changed in the configuration, and who did it: newest first", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const carol = { kind: "administrator", name: unique("carol") } as const;
      await ledger.catalog.setBackendEnabled(backend.id, false, carol);
      await ledger.catalog.setBackendEnabled(backend.id, true, carol);
      await activeLease(ledger, backend);
      const by = { actor: carol.name };
      const changes = await allOf((page) => ledger.queries.administration(by, page));
      expect(changes.map(({ kind }) => kind)).toEqual(["backend.enabled", "backend.disabled"]);
      expect(changes[0]).toMatchObject({ actor: carol, data: { id: backend.id } });
      const { items } = await ledger.queries.administration({}, FIRST);
      expect(items.filter(({ kind }) => /^(?:task|lease|decision)\./.test(kind))).toEqual([]);
      const from = { ...by, from: changes[0]!.at };
      expect((await ledger.queries.administration(from, FIRST)).items).toContainEqual(changes[0]);
      const until = { ...by, until: changes[1]!.at };
      expect((await ledger.queries.administration(until, FIRST)).items).toEqual([]);
    });
  });
}
