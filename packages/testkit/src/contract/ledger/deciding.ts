import { describe, expect, test } from "vitest";
import {
  hasMovedOn,
  NO_TERMS,
  parseTrustRootName,
  type Catalog,
  type ChangeTerms,
  type TrustRoot,
} from "@mayfly/spec";
import { ADMIN, backendRecord, registerBackend, roleRecord, sha256, unique } from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const rootOf = (name: string): TrustRoot => ({
  name: parseTrustRootName(name, "name"),
  kind: "spiffe",
  config: { trust_domain: `${name}.test` },
  enabled: true,
});

/** Changes of the catalogue are made of the version that they were decided from, or not at all. */
export function describeDeciding(ledgerOf: () => LedgerUnderTest): void {
  describe("a change of the catalogue", () => {
    test("that was decided from an earlier version is refused, whatever it changes", async () => {
      const { catalog } = ledgerOf();
      const { id, role } = await registerBackend(ledgerOf());
      const root = rootOf(unique("root"));
      await catalog.putTrustRoot(root, ADMIN);
      const terms: ChangeTerms = { ...NO_TERMS, decidedAt: await catalog.version() };
      await catalog.setRoleEnabled(role, false, ADMIN);
      const bundle = { digest: sha256(), sources: [] };
      const next = backendRecord(id, { revision: 2, upstreamIdentity: "system-8" });
      for (const late of [
        () => catalog.putBackend(next, ADMIN, terms),
        () => catalog.setBackendEnabled(id, false, ADMIN, terms),
        () => catalog.putRole(roleRecord(role, id), ADMIN, terms),
        () => catalog.setRoleEnabled(role, true, ADMIN, terms),
        () => catalog.deleteRole(role, ADMIN, terms),
        () => catalog.putTrustRoot({ ...root, enabled: false }, ADMIN, terms),
        () => catalog.setTrustRootEnabled(root.name, false, ADMIN, terms),
        () => catalog.deleteTrustRoot(root.name, ADMIN, terms),
        () => catalog.activatePolicies(bundle, ADMIN, terms),
        () => catalog.deleteBackend(id, ADMIN, terms),
      ]) {
        const error: unknown = await late().then(
          () => null,
          (thrown: unknown) => thrown,
        );
        expect([String(late), hasMovedOn(error)]).toEqual([String(late), true]);
      }
      const now = await catalog.snapshot();
      expect(now.backends.find((one) => one.id === id)).toMatchObject({
        revision: 1,
        enabled: true,
      });
      expect(now.roles.find(({ name }) => name === role)).toMatchObject({ enabled: false });
      expect(now.trustRoots.find(({ name }) => name === root.name)).toMatchObject({
        enabled: true,
        revision: 1,
      });
    });

    test("of many that were decided from one version is made once", async () => {
      const { catalog } = ledgerOf();
      const name = unique("root");
      const decidedAt = await catalog.version();
      const made = await Promise.allSettled(
        Array.from({ length: 8 }, (_, n) =>
          catalog.putTrustRoot(rootOf(`${name}-${n}`), ADMIN, { ...NO_TERMS, decidedAt }),
        ),
      );
      // Other tests change the catalogue at the same time: then it is none.
      expect(made.filter(({ status }) => status === "fulfilled").length).toBeLessThanOrEqual(1);
      await untilMade(catalog, rootOf(unique("root")));
    });
  });
}

/** As the core does, decides again. */
async function untilMade(catalog: Catalog, root: TrustRoot): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const terms = { ...NO_TERMS, decidedAt: await catalog.version() };
    try {
      expect(await catalog.putTrustRoot(root, ADMIN, terms)).toBe("created");
      return;
    } catch (error) {
      if (!hasMovedOn(error)) throw error;
    }
  }
  throw new Error("the catalogue never stood still");
}
