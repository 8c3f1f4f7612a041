import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { plusSeconds } from "@mayfly/spec";
import type { LedgerUnderTest } from "./subject.ts";

export function describeProving(ledgerOf: () => LedgerUnderTest): void {
  const useOf = (text: string, seconds: number) => ({
    sha256: createHash("sha256").update(text).digest("hex"),
    expiresAt: plusSeconds(ledgerOf().now(), seconds),
  });

  describe("uses of proofs", () => {
    test("the first use of a proof is told from every later one, and from another proof's", async () => {
      const { proofUses } = ledgerOf();
      const use = useOf("one", 60);
      expect(await proofUses.record(use)).toBe(true);
      expect(await proofUses.record(use)).toBe(false);
      expect(await proofUses.record(useOf("another", 60))).toBe(true);
    });

    test("of many that record one proof at once, one is the first", async () => {
      const { proofUses } = ledgerOf();
      const use = useOf("at once", 60);
      const all = await Promise.all(Array.from({ length: 8 }, () => proofUses.record(use)));
      expect(all.filter((isFirst) => isFirst)).toHaveLength(1);
    });

    test("of proofs that are recorded at once, each is told from those that were used", async () => {
      const { proofUses } = ledgerOf();
      const uses = Array.from({ length: 64 }, (_, n) => useOf(`of many ${n}`, 60));
      const before = uses.filter((_, n) => n % 4 === 0);
      await Promise.all(before.map((use) => proofUses.record(use)));
      const all = await Promise.all(uses.map((use) => proofUses.record(use)));
      expect(all).toEqual(uses.map((use) => !before.includes(use)));
    });

    test("what has expired goes with later uses", async () => {
      const { proofUses } = ledgerOf();
      expect(await proofUses.record(useOf("old", -1))).toBe(true);
      expect(await proofUses.record(useOf("new", 60))).toBe(true);
      // It is gone: another row of it can be written.
      expect(await proofUses.record(useOf("old", 60))).toBe(true);
    });
  });
}
