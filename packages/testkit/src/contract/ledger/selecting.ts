import { describe, expect, test } from "vitest";
import {
  durationSeconds,
  parseBackendId,
  parseRoleName,
  parseTrustRootName,
  workloadName,
  type EndRequestBySelector,
  type EndSelector,
  type EndTarget,
  type SelectorEnd,
} from "@mayfly/spec";
import {
  activeLease,
  ADMIN,
  claimOne,
  eventKinds,
  identity,
  openTask,
  refusedWith,
  registerBackend,
  reserveLease,
  unique,
} from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const FIRST = { limit: 100, after: null };

const request = (
  ledger: LedgerUnderTest,
  target: EndTarget,
  selector: EndSelector,
  more: Partial<EndRequestBySelector> = {},
): Promise<SelectorEnd> =>
  ledger.selectorEnds.request({
    target,
    selector,
    actor: ADMIN,
    decisionId: null,
    reason: "the agent is compromised",
    lookSeconds: durationSeconds(0),
    expectDigest: null,
    ...more,
  });

/** Marks everything, one at a time, and applies the ends of tasks. */
async function markAll(ledger: LedgerUnderTest, { id }: SelectorEnd): Promise<number> {
  let marked = 0;
  for (let turn = 0; turn < 50; turn++) {
    const batch = await ledger.selectorEnds.mark(id, 1, "skip");
    marked += batch.marked;
    for (const task of batch.taskIds) await ledger.tasks.applyEnd(task);
    if (batch.pending === 0) return marked;
  }
  throw new Error("the members were never all marked");
}

const stateOf = async (ledger: LedgerUnderTest, id: Parameters<typeof ledger.tasks.lease>[0]) =>
  (await ledger.tasks.lease(id))?.state;

/** Ends by selector, B1 to B5. */
export function describeSelecting(ledgerOf: () => LedgerUnderTest): void {
  describe("ends by selector", () => {
    test("B1 the request and what it found are durable before anything ends", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { lease } = await activeLease(ledger, backend);
      const end = await request(ledger, "leases", { backendId: backend.id });
      expect(await stateOf(ledger, lease.id)).toBe("active");
      const report = (await ledger.selectorEnds.report(end.id, FIRST))!;
      expect(report).toMatchObject({
        end: { finishedAt: null, actor: ADMIN, selector: { backendId: backend.id } },
        leases: 1,
        pending: 1,
        states: [{ state: "active", outcome: null, leases: 1 }],
        exposure: { leases: 1, unknown: 0 },
      });
      expect(report.page.items.map(({ id }) => id)).toEqual([lease.id]);
      expect(await ledger.selectorEnds.find(end.id)).toEqual(end);
      const { items } = await ledger.queries.events({ kind: "selector_end.requested" }, FIRST);
      expect(items.find(({ data }) => data["end"] === end.id)).toMatchObject({ actor: ADMIN });
    });

    test("B2 B3 leases are marked in batches: active ones end, reserved ones are withheld", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease: active } = await activeLease(ledger, backend);
      const { lease: reserved } = await reserveLease(ledger, backend, { under: task });
      const other = await activeLease(ledger, await registerBackend(ledger), { under: task });
      const end = await request(ledger, "leases", { role: backend.role });
      expect(await markAll(ledger, end)).toBe(2);
      expect(await ledger.selectorEnds.look(end.id)).toBe(0);
      expect(await ledger.tasks.lease(active.id)).toMatchObject({
        state: "ending",
        endReason: "the agent is compromised",
      });
      const held = await ledger.tasks.lease(reserved.id);
      expect(held).toMatchObject({ state: "reserved", endReason: "the agent is compromised" });
      expect(await stateOf(ledger, other.lease.id)).toBe("active");
      expect((await ledger.tasks.find(task.id))?.state).toBe("active");
      expect(await eventKinds(ledger, { leaseId: active.id })).toContain("lease.ending");
      await claimOne(ledger, backend);
    });

    test("leases are selected by all that is named together", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const who = identity(ledger);
      const [alice, bob] = [unique("alice"), unique("bob")];
      const root = await openTask(ledger, { identity: who, verifiedInitiator: alice });
      const child = await openTask(ledger, { parent: root, claimedInitiator: bob });
      const mine = (await activeLease(ledger, backend, { under: root })).lease.id;
      const below = (await activeLease(ledger, backend, { under: child })).lease.id;
      const found = async (selector: EndSelector) =>
        (await ledger.selectorEnds.preview("leases", selector, 100)).leaseIds;
      const only = { backendId: backend.id };
      const both = [mine, below].toSorted().toReversed();
      expect(await found(only)).toEqual(both);
      expect(await found({ role: backend.role })).toEqual(both);
      expect(await found({ ...only, workload: workloadName(who.workload) })).toEqual([mine]);
      expect(await found({ ...only, taskId: root.id })).toEqual(both);
      expect(await found({ ...only, taskId: child.id })).toEqual([below]);
      expect(await found({ ...only, initiator: alice })).toEqual([mine]);
      expect(await found({ ...only, initiator: bob })).toEqual([below]);
      expect(await found({ ...only, trustDomain: "acme.test" })).toEqual(both);
      expect(await found({ ...only, trustDomain: "acme.tes" })).toEqual([]);
      const trust = (name: string) => parseTrustRootName(name, "trust");
      expect(await found({ ...only, trustRoot: trust("acme.test") })).toEqual(both);
      expect(await found({ ...only, trustRoot: trust("other.test") })).toEqual([]);
      // Whoever could log in there as anybody could have asked for this one.
      expect(await found({ ...only, trustRoot: trust("login") })).toEqual([mine]);
      const asked = { taskId: root.id, trustRoot: trust("login") };
      const { taskIds } = await ledger.selectorEnds.preview("tasks", asked, 100);
      expect(taskIds.toSorted()).toEqual([root.id, child.id].toSorted());
      expect(await found({ ...only, initiator: alice, taskId: child.id })).toEqual([]);
    });

    test("a selector of nothing is refused", async () => {
      const ledger = ledgerOf();
      const { where } = await refusedWith(
        "invalid_input",
        ledger.selectorEnds.preview("leases", {}, 10),
      );
      expect(where).toBe("selector");
      await refusedWith("invalid_input", request(ledger, "tasks", {}));
    });

    test("a dry run says exactly what would end, and its digest holds the set fast", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      const { lease: ending } = await activeLease(ledger, backend, { under: task });
      await ledger.tasks.endLease(ending.id, ADMIN, "done");
      const selector = { backendId: backend.id };
      const dry = await ledger.selectorEnds.preview("leases", selector, 100);
      expect(dry).toMatchObject({ tasks: 0, leases: 1, endingAlready: 1, leaseIds: [lease.id] });
      expect(dry.groups).toMatchObject([{ role: backend.role, backendId: backend.id, leases: 1 }]);
      expect(dry.digest).toMatch(/^[0-9a-f]{64}$/);
      const again = await ledger.selectorEnds.preview("leases", selector, 100);
      expect(again.digest).toBe(dry.digest);
      await activeLease(ledger, backend, { under: task });
      await refusedWith(
        "conflict",
        request(ledger, "leases", selector, { expectDigest: dry.digest }),
      );
      expect(await stateOf(ledger, lease.id)).toBe("active");
      const { digest } = await ledger.selectorEnds.preview("leases", selector, 100);
      const end = await request(ledger, "leases", selector, { expectDigest: digest });
      expect(await markAll(ledger, end)).toBe(2);
      const report = (await ledger.selectorEnds.report(end.id, FIRST))!;
      expect(report).toMatchObject({ leases: 3, pending: 0, appeared: 0 });
    });

    test("tasks are killed with all below them, by who opened them", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const who = identity(ledger);
      const root = await openTask(ledger, { identity: who });
      const child = await openTask(ledger, { parent: root });
      const stranger = await openTask(ledger);
      const { lease } = await activeLease(ledger, backend, { under: child });
      const selector = { workload: workloadName(who.workload) };
      const dry = await ledger.selectorEnds.preview("tasks", selector, 100);
      expect(dry).toMatchObject({ tasks: 2, leases: 1, leaseIds: [lease.id] });
      expect(dry.taskIds.toSorted()).toEqual([root.id, child.id].toSorted());
      const end = await request(ledger, "tasks", selector, { expectDigest: dry.digest });
      expect((await ledger.tasks.find(root.id))?.state).toBe("active");
      await markAll(ledger, end);
      expect(await ledger.selectorEnds.look(end.id)).toBe(0);
      expect((await ledger.tasks.find(root.id))?.state).toBe("killed");
      expect((await ledger.tasks.find(child.id))?.state).toBe("killed");
      expect((await ledger.tasks.find(stranger.id))?.state).toBe("active");
      expect(await stateOf(ledger, lease.id)).toBe("ending");
      const report = (await ledger.selectorEnds.report(end.id, FIRST))!;
      expect(report).toMatchObject({ tasks: 2, leases: 1, pending: 0 });
      expect(report.page.items.map(({ id }) => id)).toEqual([lease.id]);
    });

    test("tasks are selected by the backend or role that they hold", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task } = await activeLease(ledger, backend);
      await activeLease(ledger, await registerBackend(ledger));
      const found = async (selector: EndSelector) =>
        (await ledger.selectorEnds.preview("tasks", selector, 100)).taskIds;
      expect(await found({ backendId: backend.id })).toEqual([task.id]);
      expect(await found({ role: backend.role })).toEqual([task.id]);
      expect(await found({ role: backend.role, taskId: task.id })).toEqual([task.id]);
    });

    test("what appears after the request is found by the next look, and told", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const who = identity(ledger);
      await openTask(ledger, { identity: who });
      const end = await request(ledger, "tasks", { workload: workloadName(who.workload) });
      await markAll(ledger, end);
      await ledger.pass(5);
      const { task } = await activeLease(ledger, backend, {
        under: await openTask(ledger, { identity: who }),
      });
      expect(await ledger.selectorEnds.look(end.id)).toBe(1);
      await markAll(ledger, end);
      expect(await ledger.selectorEnds.look(end.id)).toBe(0);
      expect((await ledger.tasks.find(task.id))?.state).toBe("killed");
      const report = (await ledger.selectorEnds.report(end.id, FIRST))!;
      expect(report).toMatchObject({ tasks: 2, leases: 1, appeared: 1, pending: 0 });
    });

    test("B4 an end that nobody works on is taken over, until it is finished once", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      await activeLease(ledger, backend);
      const end = await request(ledger, "leases", { backendId: backend.id });
      const abandoned = async (seconds: number) =>
        (await ledger.selectorEnds.abandoned(durationSeconds(seconds), 100)).map(({ id }) => id);
      await ledger.pass(30);
      expect(await abandoned(60)).not.toContain(end.id);
      expect(await abandoned(0.02)).toContain(end.id);
      await Promise.all([markAll(ledger, end), markAll(ledger, end)]);
      await Promise.all([
        ledger.selectorEnds.finish(end.id, "none_left"),
        ledger.selectorEnds.finish(end.id, "still_appearing"),
      ]);
      expect(await abandoned(0)).not.toContain(end.id);
      expect((await ledger.selectorEnds.find(end.id))?.result).not.toBeNull();
      const { items } = await ledger.queries.events({ kind: "selector_end.finished" }, FIRST);
      expect(items.filter(({ data }) => data["end"] === end.id)).toHaveLength(1);
      expect(items.find(({ data }) => data["end"] === end.id)?.data).toMatchObject({ leases: 1 });
    });

    test("the leases of an end come in pages, and those still live are listed", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task } = await activeLease(ledger, backend);
      await activeLease(ledger, backend, { under: task });
      const end = await request(ledger, "leases", { taskId: task.id });
      await markAll(ledger, end);
      const first = (await ledger.selectorEnds.report(end.id, { limit: 1, after: null }))!;
      const rest = (await ledger.selectorEnds.report(end.id, {
        limit: 1,
        after: first.page.next,
      }))!;
      expect(rest.page.next).toBeNull();
      const ids = [...first.page.items, ...rest.page.items].map(({ id }) => id);
      expect(ids).toEqual(ids.toSorted().toReversed());
      expect(ids).toHaveLength(2);
      expect(await ledger.selectorEnds.liveMembers(end.id, 100)).toHaveLength(2);
      const [claim, other] = await ledger.sweep.claim(backend.id, 10, durationSeconds(30));
      await ledger.sweep.settle(claim!, { kind: "ended", outcome: "revoked", looked: {} });
      expect((await ledger.selectorEnds.liveMembers(end.id, 100)).map(({ id }) => id)).toEqual([
        other!.leaseId,
      ]);
      const { states } = (await ledger.selectorEnds.report(end.id, FIRST))!;
      expect(states).toEqual([
        { state: "ended", outcome: "revoked", leases: 1 },
        { state: "ending", outcome: null, leases: 1 },
      ]);
      const { items } = await ledger.selectorEnds.list({ limit: 1, after: null });
      expect(items.map(({ id }) => id)).toEqual([end.id]);
    });

    test("B6 a name is unknown that was never registered; what was deleted or changed is known", async () => {
      const { catalog, selectorEnds } = ledgerOf();
      const backend = await registerBackend(ledgerOf());
      const name = parseTrustRootName(unique("root"), "name");
      const [before, now] = [`${unique("old")}.test`, `${unique("new")}.test`];
      for (const domain of [before, now]) {
        const config = { trust_domain: domain };
        await catalog.putTrustRoot({ name, kind: "spiffe", config, enabled: true }, ADMIN);
      }
      const names = { backendId: backend.id, role: backend.role, trustRoot: name };
      const known = async () => [
        await selectorEnds.unknownNames({ ...names, trustDomain: before }),
        await selectorEnds.unknownNames({ ...names, trustDomain: now }),
      ];
      expect(await known()).toEqual([[], []]);
      await catalog.deleteRole(backend.role, ADMIN);
      await catalog.deleteBackend(backend.id, ADMIN);
      await catalog.deleteTrustRoot(name, ADMIN);
      expect(await known()).toEqual([[], []]);
      const other = unique("other");
      const wrong = {
        backendId: parseBackendId(other, "backend"),
        role: parseRoleName(`${backend.id}/${other}`, "role"),
        trustRoot: parseTrustRootName(other, "root"),
        trustDomain: `${other}.test`,
      };
      expect(await selectorEnds.unknownNames(wrong)).toEqual(Object.keys(wrong));
      expect(await selectorEnds.unknownNames({ ...names, role: wrong.role })).toEqual(["role"]);
      expect(await selectorEnds.unknownNames({})).toEqual([]);
    });
  });
}
