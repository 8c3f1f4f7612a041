import { describe, expect, test } from "vitest";
import type { LedgerEvent } from "@mayfly/spec";
import { endTask, openTask, registerBackend, reserveLease } from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

/** The log: one order over all events. */
export function describeLogging(ledgerOf: () => LedgerUnderTest): void {
  async function drain(ledger: LedgerUnderTest): Promise<number> {
    let appended = 0;
    for (;;) {
      const count = await ledger.sequencer.append(100);
      appended += count;
      if (count === 0) return appended;
    }
  }

  async function allEvents(ledger: LedgerUnderTest): Promise<readonly LedgerEvent[]> {
    const events: LedgerEvent[] = [];
    let after: string | null = null;
    do {
      const page = await ledger.queries.events({}, { limit: 200, after });
      events.push(...page.items);
      after = page.next;
    } while (after !== null);
    return events;
  }

  describe("the log", () => {
    test("every event gets one index, without gaps, and the chain verifies", async () => {
      const ledger = ledgerOf();
      const task = await openTask(ledger);
      expect(
        (await ledger.queries.events({ taskId: task.id }, { limit: 1, after: null })).items[0],
      ).toMatchObject({ kind: "task.opened", logIndex: null });
      await endTask(ledger, task.id);
      const before = await ledger.sequencer.verify(0);
      expect(before).toMatchObject({ ok: true });
      expect(await drain(ledger)).toBeGreaterThan(0);
      const events = await allEvents(ledger);
      const indices = events.map((event) => event.logIndex!).toSorted((a, b) => a - b);
      expect(indices).toEqual(events.map((_, index) => index));
      expect(await ledger.sequencer.verify(0)).toMatchObject({
        ok: true,
        entries: events.length,
        pending: 0,
      });
    });

    test("an index once given stays, and the chain's head changes with each entry", async () => {
      const ledger = ledgerOf();
      await openTask(ledger);
      await drain(ledger);
      const first = await ledger.sequencer.verify(0);
      const events = await allEvents(ledger);
      await openTask(ledger);
      expect(await ledger.sequencer.append(100)).toBe(1);
      const second = await ledger.sequencer.verify(0);
      if (!first.ok || !second.ok) throw new Error("not verified");
      expect(second.entries).toBe(first.entries + 1);
      expect(second.headSha256).not.toBe(first.headSha256);
      const later = await allEvents(ledger);
      for (const event of events) expect(later).toContainEqual(event);
    });

    test("it can be verified from an entry on", async () => {
      const ledger = ledgerOf();
      await openTask(ledger);
      await drain(ledger);
      const all = await ledger.sequencer.verify(0);
      if (!all.ok) throw new Error(all.problem);
      const tail = await ledger.sequencer.verify(all.entries - 1);
      const from = all.entries - 1;
      expect(tail).toEqual({ ...all, from, entries: 1 });
      const none = { ...all, from: all.entries, entries: 0 };
      expect(await ledger.sequencer.verify(all.entries)).toEqual(none);
    });

    test("appends at most so many, and two at once append nothing twice", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      await drain(ledger);
      for (let turn = 0; turn < 4; turn++) await reserveLease(ledger, backend);
      expect(await ledger.sequencer.append(3)).toBe(3);
      const racing = await Promise.all([1, 2, 3].map(() => ledger.sequencer.append(100)));
      const rest = await drain(ledger);
      expect(3 + racing.reduce((sum, count) => sum + count, 0) + rest).toBe(12);
      expect(await ledger.sequencer.verify(0)).toMatchObject({ ok: true, pending: 0 });
    });
  });
}
