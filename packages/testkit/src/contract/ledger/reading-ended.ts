import { describe, expect, test } from "vitest";
import { plusSeconds } from "@mayfly/spec";
import { activeLease, endTask, registerBackend, reserveLease } from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const WANTED = { lifetimeSecondsMax: 3600, graceSeconds: 60 };

/** What lists of revoked credentials are made of. */
export function describeReadingEnded(ledgerOf: () => LedgerUnderTest): void {
  describe("ended leases of a backend", () => {
    test("are those whose end was asked for, and no live, reserved or other backend's one", async () => {
      const ledger = ledgerOf();
      const [backend, other] = [await registerBackend(ledger), await registerBackend(ledger)];
      const ended = await activeLease(ledger, backend);
      const elsewhere = await activeLease(ledger, other);
      await activeLease(ledger, backend);
      await reserveLease(ledger, backend);
      expect((await ledger.tasks.endedLeases(backend.id, WANTED)).leases).toEqual([]);
      const before = ledger.now();
      await endTask(ledger, ended.task.id);
      await endTask(ledger, elsewhere.task.id);
      const { leases } = await ledger.tasks.endedLeases(backend.id, WANTED);
      const lease = await ledger.tasks.lease(ended.lease.id);
      expect(leases).toEqual([
        { leaseId: ended.lease.id, endedAt: lease!.endRequestedAt, expiresAt: lease!.expiresAt },
      ]);
      expect(leases[0]!.endedAt).toBeGreaterThanOrEqual(before - 100);
    });

    test("stay listed until their grace after the expiry is over", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { task, lease } = await activeLease(ledger, backend);
      await endTask(ledger, task.id);
      const { expiresAt } = (await ledger.tasks.lease(lease.id))!;
      const leftSeconds = (expiresAt - ledger.now()) / 1000;
      const within = async (graceSeconds: number): Promise<number> =>
        (await ledger.tasks.endedLeases(backend.id, { ...WANTED, graceSeconds })).leases.length;
      expect(await within(-leftSeconds + 60)).toBe(1);
      expect(await within(-leftSeconds - 60)).toBe(0);
    });

    test("say until when lists count that were to count for longer than those of today", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const until = async (listSeconds: number): Promise<number | undefined> => {
        const reading = await ledger.tasks.endedLeases(backend.id, { ...WANTED, listSeconds });
        return reading.longerListsUntil;
      };
      expect([await until(60), await until(120)]).toEqual([undefined, undefined]);
      const before = ledger.now();
      const bound = await until(10);
      expect(bound).toBeGreaterThanOrEqual(before + 119_900);
      expect(bound).toBeLessThan(before + 180_000);
      expect([await until(10), await until(20)]).toEqual([bound, bound]);
    });

    test("are read under numbers that rise, whoever reads at once", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const tasks = await Promise.all([1, 2, 3, 4].map(() => activeLease(ledger, backend)));
      const read = () => ledger.tasks.endedLeases(backend.id, WANTED);
      const readings = await Promise.all(
        tasks.flatMap(({ task }) => [read(), endTask(ledger, task.id).then(read), read()]),
      );
      const byNumber = readings.toSorted((a, b) => a.number - b.number);
      expect(new Set(byNumber.map(({ number }) => number)).size).toBe(readings.length);
      for (const [index, { leases }] of byNumber.entries()) {
        const earlier = byNumber[index - 1]?.leases ?? [];
        const ids = leases.map(({ leaseId }) => leaseId);
        for (const { leaseId } of earlier) expect(ids).toContain(leaseId);
      }
      const last = await read();
      expect(last.number).toBeGreaterThan(byNumber.at(-1)!.number);
      expect(last.leases).toHaveLength(tasks.length);
      expect(plusSeconds(last.readAt, 60)).toBeGreaterThan(ledger.now());
    });
  });
}
