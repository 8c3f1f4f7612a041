import { describe, expect, test } from "vitest";
import { durationSeconds } from "@mayfly/spec";
import { claimOne, registerBackend, reserveLease } from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const SECOND = durationSeconds(1);
const LOOKED = { roles: 1, tombstone: false };

/** What a recovery tells before it destroys anything. */
export function describeRecovering(ledgerOf: () => LedgerUnderTest): void {
  describe("recovering", () => {
    test("what was found is durable before it is destroyed, and is told to the next claim", async () => {
      const ledger = ledgerOf();
      const backend = await registerBackend(ledger);
      const { lease } = await reserveLease(ledger, backend, { settleSeconds: 0.1 });
      await ledger.pass(150);
      const first = await claimOne(ledger, backend);
      expect(first.work).toMatchObject({ kind: "recover", found: null });
      const found = { kind: "found", looked: LOOKED } as const;
      expect(await ledger.sweep.settle(first, found)).toBe(true);
      // It is still claimed, and its claim still settles it.
      expect(await ledger.sweep.claim(backend.id, 10, SECOND)).toEqual([]);
      expect(await ledger.tasks.lease(lease.id)).toMatchObject({
        state: "ending",
        attempts: 0,
        looked: { found: LOOKED },
      });
      const { items } = await ledger.queries.events(
        { leaseId: lease.id, kind: "lease.recovering" },
        { limit: 10, after: null },
      );
      expect(items.map(({ data }) => data)).toContainEqual({ found: LOOKED });
      const exposure = { kind: "unknown", reason: "unsettled" } as const;
      const wait = { kind: "wait", seconds: durationSeconds(0.05), exposure } as const;
      expect(await ledger.sweep.settle(first, wait)).toBe(true);
      expect(await ledger.sweep.settle(first, found)).toBe(false);
      await ledger.pass(100);
      const second = await claimOne(ledger, backend);
      expect(second.work).toMatchObject({ kind: "recover", found: LOOKED });
    });
  });
}
