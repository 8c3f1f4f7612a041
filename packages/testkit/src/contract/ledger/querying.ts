import { describe, expect, test } from "vitest";
import {
  durationSeconds,
  instantMs,
  workloadName,
  type BackendId,
  type Page,
  type PageRequest,
} from "@mayfly/spec";
import {
  activeLease,
  ADMIN,
  claimOne,
  endTask,
  identity,
  mintId,
  openTask,
  refusedWith,
  registerBackend,
  reserveLease,
  unique,
} from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const FIRST: PageRequest = { limit: 100, after: null };

async function pages<T>(read: (page: PageRequest) => Promise<Page<T>>, limit: number) {
  const items: T[] = [];
  const sizes: number[] = [];
  let after: string | null = null;
  do {
    const page: Page<T> = await read({ limit, after });
    items.push(...page.items);
    sizes.push(page.items.length);
    after = page.next;
  } while (after !== null);
  return { items, sizes };
}

/** What security teams ask. */
export function describeQuerying(ledgerOf: () => LedgerUnderTest): void {
  describe("queries", () => {
    test("leases are found by task, workload, initiator, backend, role, state, exposure and fingerprint", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const who = identity(ledger);
      const [verified, claimed] = [unique("alice"), unique("bob")];
      const task = await openTask(ledger, {
        identity: who,
        verifiedInitiator: verified,
        claimedInitiator: claimed,
      });
      const { lease: active, fingerprint } = await activeLease(ledger, backend, { under: task });
      const { lease: gone } = await reserveLease(ledger, backend, { under: task });
      await ledger.issue.abandon(gone, "no effect");
      const other = await registerBackend(ledger);
      await activeLease(ledger, other);

      const found = async (filter: Parameters<typeof ledger.queries.leases>[0]) =>
        (await ledger.queries.leases(filter, FIRST)).items.map((lease) => lease.id);
      const both = [active.id, gone.id].toSorted().toReversed();
      const workload = workloadName(who.workload);
      expect(await found({ taskId: task.id })).toEqual(both);
      expect(await found({ workload })).toEqual(both);
      expect(await found({ initiator: verified })).toEqual(both);
      expect(await found({ initiator: claimed })).toEqual(both);
      expect(await found({ backendId: backend.id })).toEqual(both);
      expect(await found({ role: backend.role })).toEqual(both);
      expect(await found({ role: backend.role, state: "active" })).toEqual([active.id]);
      expect(await found({ role: backend.role, exposed: true })).toEqual([active.id]);
      expect(await found({ role: backend.role, exposed: false })).toEqual([gone.id]);
      expect(await found({ fingerprint })).toEqual([active.id]);
      expect(await found({ taskId: mintId("task") })).toEqual([]);
      const { reservedAt } = (await ledger.tasks.lease(active.id))!;
      const window = { from: reservedAt, until: instantMs(reservedAt + 60_000) };
      expect(await found({ taskId: task.id, ...window })).toEqual(both);
      expect(await found({ taskId: task.id, until: reservedAt })).toEqual([]);
      expect(await found({ taskId: task.id, from: window.until })).toEqual([]);
    });

    test("what is held on somebody's behalf is found until it has ended, whatever became of its task", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const [verified, claimed] = [unique("alice"), unique("bob")];
      const who = { verifiedInitiator: verified, claimedInitiator: claimed };
      const task = await openTask(ledger, who);
      const { lease: active } = await activeLease(ledger, backend, { under: task });
      const { lease: reserved } = await reserveLease(ledger, backend, { under: task });
      const ownTask = await openTask(ledger, who);
      const { lease: own } = await activeLease(ledger, backend, { under: ownTask });
      await activeLease(ledger, backend, { under: await openTask(ledger) });
      const all = [active.id, reserved.id, own.id].toSorted().toReversed();
      const held = async (initiator: string) => {
        const found = await ledger.queries.holders({ initiator, exposed: true }, FIRST);
        return found.items.map(({ lease }) => lease.id);
      };
      expect(await held(verified)).toEqual(all);
      await endTask(ledger, task.id);
      expect(await held(verified)).toEqual(all);
      expect(await held(claimed)).toEqual(all);
      await ledger.issue.abandon(reserved, "no effect");
      expect(await held(verified)).toEqual(all.filter((id) => id !== reserved.id));
      expect(await held(unique("nobody"))).toEqual([]);
      const paged = await pages(
        (page) => ledger.queries.holders({ initiator: verified, exposed: true }, page),
        1,
      );
      expect(paged.items.map(({ lease }) => lease.id)).toEqual(await held(verified));
    });

    test("tasks are found by workload, initiator, reference, state and parent", async () => {
      const ledger = ledgerOf();
      const who = identity(ledger);
      const [alice, ref] = [unique("alice"), unique("JIRA")];
      const root = await openTask(ledger, { identity: who, verifiedInitiator: alice, ref });
      await ledger.pass(2);
      const child = await openTask(ledger, { parent: root, identity: who });
      await endTask(ledger, child.id);
      const found = async (filter: Parameters<typeof ledger.queries.tasks>[0]) =>
        (await ledger.queries.tasks(filter, FIRST)).items.map((task) => task.id);
      const workload = workloadName(who.workload);
      expect(await found({ workload })).toEqual([child.id, root.id]);
      expect(await found({ initiator: alice })).toEqual([root.id]);
      expect(await found({ ref })).toEqual([root.id]);
      expect(await found({ workload, state: "active" })).toEqual([root.id]);
      expect(await found({ parentId: root.id })).toEqual([child.id]);
      expect(await found({ workload, until: root.openedAt })).toEqual([]);
      expect((await ledger.queries.tasks({ ref }, FIRST)).items[0]).toEqual(root);
    });

    test("pages follow each other without gap or repetition, also while rows are added", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const task = await openTask(ledger);
      for (let turn = 0; turn < 5; turn++) await reserveLease(ledger, backend, { under: task });
      const all = await ledger.queries.leases({ taskId: task.id }, FIRST);
      expect(all.next).toBeNull();
      const paged = await pages(async (page) => {
        const found = await ledger.queries.leases({ taskId: task.id }, page);
        if (page.after === null) await reserveLease(ledger, backend, { under: task });
        return found;
      }, 2);
      expect(paged.sizes).toEqual([2, 2, 1]);
      expect(paged.items).toEqual(all.items);
      const events = await pages((page) => ledger.queries.events({ taskId: task.id }, page), 4);
      const together = await ledger.queries.events({ taskId: task.id }, FIRST);
      expect(events.items).toEqual(together.items);
      expect(events.items.map((event) => event.id)).toEqual(
        events.items.map((event) => event.id).toSorted(),
      );
    });

    test("a page has a limit, and a cursor of another list is refused", async () => {
      const ledger = ledgerOf();
      for (const limit of [0, -1, 1001, 1.5]) {
        await refusedWith("invalid_input", ledger.queries.leases({}, { limit, after: null }));
      }
      await openTask(ledger);
      await openTask(ledger);
      const { next } = await ledger.queries.tasks({}, { limit: 1, after: null });
      expect(next).not.toBeNull();
      await refusedWith("invalid_input", ledger.queries.leases({}, { limit: 1, after: next }));
      await refusedWith("invalid_input", ledger.queries.events({}, { limit: 1, after: "?" }));
    });

    test("the chain of a task holds it and all below it", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task: root, lease } = await activeLease(ledger, backend);
      const child = await openTask(ledger, { parent: root });
      const below = await activeLease(ledger, backend, { under: child });
      await endTask(ledger, root.id);
      const chain = (await ledger.queries.taskChain(root.id))!;
      expect(chain.task).toMatchObject({ id: root.id, state: "completed" });
      expect(chain.descendants.map((task) => task.id)).toEqual([child.id]);
      expect(chain.leases.map((each) => each.id).toSorted()).toEqual(
        [lease.id, below.lease.id].toSorted(),
      );
      expect(chain.decisions).toHaveLength(2);
      expect(chain.events.map((event) => event.kind)).toContain("task.end_requested");
      expect(chain.events.filter((event) => event.kind === "task.ended")).toHaveLength(2);
      expect(chain.truncated).toBe(false);
      const own = (await ledger.queries.taskChain(child.id))!;
      expect(own.descendants).toEqual([]);
      expect(own.leases.map((each) => each.id)).toEqual([below.lease.id]);
      expect(await ledger.queries.taskChain(mintId("task"))).toBeNull();
    });

    test("counts say how much is live and late", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const before = await ledger.queries.counts();
      const { task } = await activeLease(ledger, backend);
      await reserveLease(ledger, backend, { under: task });
      const counts = await ledger.queries.counts();
      expect(counts.leasesActive).toBe(before.leasesActive + 1);
      expect(counts.leasesReserved).toBe(before.leasesReserved + 1);
      expect(counts.tasksActive).toBe(before.tasksActive + 1);
      await endTask(ledger, task.id);
      const after = await ledger.queries.counts();
      expect(after.leasesEnding).toBe(before.leasesEnding + 1);
      expect(after.leasesOverdue).toBe(counts.leasesOverdue + 1);
    });

    test("counts say when sweeps came by, and of each backend its listing and what is stuck", async () => {
      const ledger = ledgerOf();
      const [listed, other] = [await registerBackend(ledger), await registerBackend(ledger)];
      const { task } = await activeLease(ledger, listed);
      await endTask(ledger, task.id);
      await ledger.sweep.settle(await claimOne(ledger, listed), {
        kind: "failed",
        error: "the server does not answer",
        retryInSeconds: durationSeconds(60),
        stuck: true,
      });
      await ledger.sweep.recordSweep(null);
      await ledger.sweep.recordSweep(listed.id);
      await ledger.pass(20);
      const { sweepAgeSeconds, backends } = await ledger.queries.counts();
      expect(sweepAgeSeconds).toBeGreaterThan(0);
      expect(sweepAgeSeconds).toBeLessThan(10);
      const of = (id: BackendId) => backends.find((each) => each.id === id);
      expect(of(listed.id)).toMatchObject({ leasesStuck: 1 });
      expect(of(listed.id)?.listingAgeSeconds).toBeLessThan(10);
      expect(of(other.id)).toEqual({
        id: other.id,
        leasesReserved: 0,
        leasesActive: 0,
        leasesEnding: 0,
        leasesStuck: 0,
        listingAgeSeconds: null,
      });
      await ledger.catalog.deleteRole(other.role, ADMIN);
      await ledger.catalog.deleteBackend(other.id, ADMIN);
      expect((await ledger.queries.counts()).backends.map(({ id }) => id)).not.toContain(other.id);
    });
  });
}
