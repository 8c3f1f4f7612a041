import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { parseTrustRootName, type BundleSource, type TrustRoot } from "@mayfly/spec";
import { ADMIN, unique } from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const sourceOf = (trustRoot: string, address = "https://acme.test/bundle"): BundleSource => ({
  trustRoot: parseTrustRootName(trustRoot, "root"),
  sourceSha256: createHash("sha256").update(address).digest("hex"),
});

export function describeNotingSequences(ledgerOf: () => LedgerUnderTest): void {
  describe("sequences of trust bundles", () => {
    test("the highest that was noted stays, whatever comes after it", async () => {
      const { bundleSequences } = ledgerOf();
      const source = sourceOf(unique("root"));
      expect(await bundleSequences.newest(source)).toBeNull();
      expect(await bundleSequences.note(source, 7)).toBe(7);
      expect(await bundleSequences.note(source, 7)).toBe(7);
      expect(await bundleSequences.note(source, 3)).toBe(7);
      expect(await bundleSequences.note(source, 8.5)).toBe(8.5);
      expect(await bundleSequences.newest(source)).toBe(8.5);
    });

    test("of many at once each is answered no less than its own, and the highest is kept", async () => {
      const { bundleSequences } = ledgerOf();
      const source = sourceOf(unique("root"));
      const seen = [5, 1, 9, 3, 9, 2, 8, 4];
      const answers = await Promise.all(seen.map((each) => bundleSequences.note(source, each)));
      expect(answers.filter((answer, at) => answer < (seen[at] ?? 0))).toEqual([]);
      expect(await bundleSequences.newest(source)).toBe(9);
    });

    test("another address and another trust root have sequences of their own", async () => {
      const { bundleSequences } = ledgerOf();
      const name = unique("root");
      await bundleSequences.note(sourceOf(name), 7);
      expect(await bundleSequences.note(sourceOf(name, "https://b.test"), 1)).toBe(1);
      expect(await bundleSequences.note(sourceOf(unique("root")), 1)).toBe(1);
      expect(await bundleSequences.newest(sourceOf(name))).toBe(7);
    });

    test("go with their trust root, and with it alone", async () => {
      const { bundleSequences, catalog } = ledgerOf();
      const root: TrustRoot = {
        name: parseTrustRootName(unique("root"), "name"),
        kind: "spiffe",
        config: { trust_domain: `${unique("root")}.test` },
        enabled: true,
      };
      const other = sourceOf(unique("root"));
      await bundleSequences.note(other, 7);
      await catalog.putTrustRoot(root, ADMIN);
      await bundleSequences.note(sourceOf(root.name), 7);
      await catalog.putTrustRoot({ ...root, enabled: false }, ADMIN);
      expect(await bundleSequences.newest(sourceOf(root.name))).toBe(7);
      await catalog.deleteTrustRoot(root.name, ADMIN);
      expect(await bundleSequences.newest(sourceOf(root.name))).toBeNull();
      expect(await bundleSequences.note(sourceOf(root.name), 1)).toBe(1);
      expect(await bundleSequences.newest(other)).toBe(7);
    });
  });
}
