import { describe, expect, test } from "vitest";
import { durationSeconds, plusSeconds, type EndedTaskState, type TaskId } from "@mayfly/spec";
import {
  activation,
  activeLease,
  ADMIN,
  decision,
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

/** The end of tasks and leases, against everything that may be under way. */
export function describeEnding(ledgerOf: () => LedgerUnderTest): void {
  describe("ending", () => {
    const request = (taskId: TaskId, state: EndedTaskState) => ({
      taskId,
      state,
      actor: ADMIN,
      reason: "done",
    });

    test("G7. once the end is requested, nothing is reserved, opened, renewed or activated below", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const root = await openTask(ledger);
      const child = await openTask(ledger, { parent: root });
      const active = await activeLease(ledger, backend, { under: child });
      const reserved = await reserveLease(ledger, backend, { under: child });
      expect(await ledger.tasks.requestEnd(request(root.id, "completed"))).toBe("requested");

      for (const under of [root, child]) {
        await refusedWith(
          "task_ended",
          reserve(ledger, await reservationOf(ledger, backend, { under })),
        );
        await refusedWith("task_ended", openTask(ledger, { parent: under }));
        expect(await ledger.tasks.heartbeat(under.id, null)).toBe("ended");
        expect((await ledger.tasks.find(under.id))!.endRequested).toBe(true);
      }
      const renewal = {
        leaseId: active.lease.id,
        expiresAt: plusSeconds(ledger.now(), 400),
        decision: decision(ledger, child.id),
        catalogVersion: await ledger.catalog.version(),
      };
      await refusedWith("task_ended", ledger.issue.recordRenewal(renewal));
      const result = await ledger.issue.activate(reserved.lease, activation(ledger));
      expect(result.kind).toBe("withheld");
      expect(await ledger.tasks.lease(reserved.lease.id)).toMatchObject({ state: "ending" });
    });

    test("a withheld lease has its handle stored and is due at once", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await reserveLease(ledger, backend);
      await endTask(ledger, task.id, "killed");
      const given = activation(ledger);
      expect((await ledger.issue.activate(lease, given)).kind).toBe("withheld");
      const [claim] = await ledger.sweep.claim(backend.id, 10, durationSeconds(5));
      expect(claim).toMatchObject({ leaseId: lease.id, work: { kind: "revoke" } });
      expect(Uint8Array.from(claim!.work.sealedHandle!)).toEqual(given.sealedHandle);
      expect(await eventKinds(ledger, { leaseId: lease.id })).toContain("lease.withheld");
    });

    test("the first request stands; a later one is told so and changes nothing", async () => {
      const ledger = ledgerOf();
      const task = await openTask(ledger);
      expect(await ledger.tasks.requestEnd(request(task.id, "failed"))).toBe("requested");
      expect(await ledger.tasks.requestEnd(request(task.id, "killed"))).toBe("already");
      await ledger.tasks.applyEnd(task.id);
      expect(await ledger.tasks.find(task.id)).toMatchObject({ state: "failed" });
      expect(await ledger.tasks.requestEnd(request(task.id, "killed"))).toBe("already");
      await refusedWith("not_found", ledger.tasks.requestEnd(request(mintId("task"), "killed")));
    });

    test("an end is applied only when requested, and twice as well as once", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      await refusedWith("conflict", ledger.tasks.applyEnd(task.id));
      await refusedWith("not_found", ledger.tasks.applyEnd(mintId("task")));
      const live = [{ id: lease.id, backendId: backend.id, state: "ending" }];
      expect(await endTask(ledger, task.id)).toEqual({ ended: [task.id], leases: live });
      expect(await ledger.tasks.applyEnd(task.id)).toEqual({ ended: [], leases: live });
      expect(await eventKinds(ledger, { taskId: task.id })).toHaveLength(7);
    });

    test("the end of a task makes active leases due and has reserved ones withheld", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease: active } = await activeLease(ledger, backend);
      const { lease: reserved } = await reserveLease(ledger, backend, { under: task });
      const { leases } = await endTask(ledger, task.id);
      expect(new Map(leases.map((each) => [each.id, each.state]))).toEqual(
        new Map([
          [active.id, "ending"],
          [reserved.id, "reserved"],
        ]),
      );
      expect((await ledger.tasks.lease(reserved.id))!.endRequestedAt).not.toBeNull();
      expect((await ledger.tasks.lease(active.id))!.endReason).toContain("done");
      expect(await ledger.sweep.dueBackends()).toContain(backend.id);
    });

    test.for<[EndedTaskState, EndedTaskState]>([
      ["completed", "cancelled"],
      ["failed", "cancelled"],
      ["cancelled", "cancelled"],
      ["expired", "expired"],
      ["killed", "killed"],
    ])("a parent that is %s leaves its descendants %s", async ([state, below]) => {
      const ledger = ledgerOf();
      const root = await openTask(ledger);
      const child = await openTask(ledger, { parent: root });
      const grandchild = await openTask(ledger, { parent: child });
      const sibling = await openTask(ledger);
      const { ended } = await endTask(ledger, root.id, state);
      expect(new Set(ended)).toEqual(new Set([root.id, child.id, grandchild.id]));
      expect((await ledger.tasks.find(root.id))!.state).toBe(state);
      expect((await ledger.tasks.find(child.id))!.state).toBe(below);
      expect((await ledger.tasks.find(grandchild.id))!.state).toBe(below);
      expect((await ledger.tasks.find(sibling.id))!.state).toBe("active");
    });

    test("a child's end leaves its parent alone, and its own request outlives the parent's end", async () => {
      const ledger = ledgerOf();
      const root = await openTask(ledger);
      const [first, second] = [
        await openTask(ledger, { parent: root }),
        await openTask(ledger, { parent: root }),
      ];
      expect((await endTask(ledger, first.id)).ended).toEqual([first.id]);
      expect((await ledger.tasks.find(root.id))!.state).toBe("active");
      await ledger.tasks.requestEnd(request(second.id, "failed"));
      await endTask(ledger, root.id, "killed");
      expect((await ledger.tasks.find(first.id))!.state).toBe("completed");
      expect((await ledger.tasks.find(second.id))!.state).toBe("failed");
    });

    test("one lease is ended out of its task, once, and the task goes on", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      const ended = await ledger.tasks.endLease(lease.id, ADMIN, "no longer needed");
      expect(ended).toMatchObject({ state: "ending", endReason: "no longer needed" });
      const again = await ledger.tasks.endLease(lease.id, ADMIN, "again");
      expect(again).toMatchObject({ state: "ending", endReason: "no longer needed" });
      expect((await ledger.tasks.find(task.id))!.state).toBe("active");
      const { lease: reserved } = await reserveLease(ledger, backend, { under: task });
      await ledger.tasks.endLease(reserved.id, ADMIN, "not wanted");
      expect((await ledger.issue.activate(reserved, activation(ledger))).kind).toBe("withheld");
      expect(await ledger.tasks.endLease(mintId("lease"), ADMIN, "?")).toBeNull();
    });

    test("the leases below a task are its own and its descendants', newest first, so many", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const root = await openTask(ledger);
      const child = await openTask(ledger, { parent: root });
      const ids = [];
      for (const under of [root, child, root]) {
        ids.unshift((await reserveLease(ledger, backend, { under })).lease.id);
        await ledger.pass(2);
      }
      const below = await ledger.tasks.leasesBelow(root.id, 10);
      expect(below.map((lease) => lease.id)).toEqual(ids);
      expect(await ledger.tasks.leasesBelow(root.id, 2)).toHaveLength(2);
      expect(await ledger.tasks.leasesBelow(child.id, 10)).toHaveLength(1);
    });

    test("G7. whatever is exchanged while a task is ended, nothing stays active below it", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const root = await openTask(ledger);
      const exchange = async (): Promise<void> => {
        const { lease } = await reserveLease(ledger, backend, { under: root });
        await ledger.issue.activate(lease, activation(ledger));
      };
      const exchanges = Array.from({ length: 12 }, () => exchange());
      const ended = ledger.pass(3).then(() => endTask(ledger, root.id, "killed"));
      await Promise.allSettled(exchanges);
      await ended;
      for (const lease of await ledger.tasks.leasesBelow(root.id, 100)) {
        expect(lease.state).not.toBe("active");
        if (lease.state === "reserved") expect(lease.endRequestedAt).not.toBeNull();
      }
    });
  });

  describe("heartbeats", () => {
    test("keep a task alive, and fresh proof moves its proof of identity", async () => {
      const ledger = ledgerOf();
      const task = await openTask(ledger);
      await ledger.pass(20);
      expect(await ledger.tasks.heartbeat(task.id, null)).toBe("beaten");
      const beaten = (await ledger.tasks.find(task.id))!;
      expect(beaten.lastHeartbeatAt).toBeGreaterThan(task.lastHeartbeatAt);
      expect(beaten.identityProvenAt).toBe(task.identityProvenAt);
      const provenAt = plusSeconds(task.identityProvenAt, 5);
      const proof = {
        workload: task.workload,
        expiresAt: plusSeconds(provenAt, 300),
        identityMaxAgeSeconds: task.identityMaxAgeSeconds,
        provenAt,
        tokenSha256: "cd".repeat(32),
        oneTime: null,
        confirmation: null,
        mayInitiate: false,
        mayAdminister: false,
        mustProvePossession: false,
      };
      expect(await ledger.tasks.heartbeat(task.id, proof)).toBe("beaten");
      expect((await ledger.tasks.find(task.id))!.identityProvenAt).toBe(provenAt);
      expect(await eventKinds(ledger, { taskId: task.id })).toEqual([
        "task.opened",
        "task.heartbeat_proven",
      ]);
    });

    test("write nothing for a task that has ended, and know unknown ones", async () => {
      const ledger = ledgerOf();
      const task = await openTask(ledger);
      await endTask(ledger, task.id);
      const before = await ledger.tasks.find(task.id);
      expect(await ledger.tasks.heartbeat(task.id, null)).toBe("ended");
      expect(await ledger.tasks.find(task.id)).toEqual(before);
      await refusedWith("not_found", ledger.tasks.heartbeat(mintId("task"), null));
    });
  });
}
