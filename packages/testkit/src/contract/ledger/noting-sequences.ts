import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  BUNDLE_SEQUENCE_MAX,
  parseTrustRootName,
  type BundleSource,
  type TrustRoot,
} from "@mayfly/spec";
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
      expect(await bundleSequences.note(source, 7n)).toBe(7n);
      expect(await bundleSequences.note(source, 7n)).toBe(7n);
      expect(await bundleSequences.note(source, 3n)).toBe(7n);
      expect(await bundleSequences.note(source, 8n)).toBe(8n);
      expect(await bundleSequences.newest(source)).toBe(8n);
    });

    test("those that a double takes for one are two, up to the highest that there is", async () => {
      const { bundleSequences } = ledgerOf();
      const source = sourceOf(unique("root"));
      expect(await bundleSequences.note(source, 0n)).toBe(0n);
      for (const first of [2n ** 53n, BUNDLE_SEQUENCE_MAX - 1n]) {
        expect(await bundleSequences.note(source, first)).toBe(first);
        expect(await bundleSequences.newest(source)).toBe(first);
        expect(await bundleSequences.note(source, first + 1n)).toBe(first + 1n);
        expect(await bundleSequences.note(source, first)).toBe(first + 1n);
        expect(await bundleSequences.newest(source)).toBe(first + 1n);
      }
    });

    test("of many at once each is answered no less than its own, and the highest is kept", async () => {
      const { bundleSequences } = ledgerOf();
      const source = sourceOf(unique("root"));
      const seen = [5n, 1n, 9n, 3n, 9n, 2n, 8n, 4n];
      const answers = await Promise.all(seen.map((each) => bundleSequences.note(source, each)));
      expect(answers.filter((answer, at) => answer < (seen[at] ?? 0n))).toEqual([]);
      expect(await bundleSequences.newest(source)).toBe(9n);
    });

    test("another address and another trust root have sequences of their own", async () => {
      const { bundleSequences } = ledgerOf();
      const name = unique("root");
      await bundleSequences.note(sourceOf(name), 7n);
      expect(await bundleSequences.note(sourceOf(name, "https://b.test"), 1n)).toBe(1n);
      expect(await bundleSequences.note(sourceOf(unique("root")), 1n)).toBe(1n);
      expect(await bundleSequences.newest(sourceOf(name))).toBe(7n);
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
      await bundleSequences.note(other, 7n);
      await catalog.putTrustRoot(root, ADMIN);
      await bundleSequences.note(sourceOf(root.name), 7n);
      await catalog.putTrustRoot({ ...root, enabled: false }, ADMIN);
      expect(await bundleSequences.newest(sourceOf(root.name))).toBe(7n);
      await catalog.deleteTrustRoot(root.name, ADMIN);
      expect(await bundleSequences.newest(sourceOf(root.name))).toBeNull();
      expect(await bundleSequences.note(sourceOf(root.name), 1n)).toBe(1n);
      expect(await bundleSequences.newest(other)).toBe(7n);
    });
  });
}
