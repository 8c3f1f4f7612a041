import { describe, expect, test } from "vitest";
import {
  NO_TERMS,
  parseResourceServerName,
  type ChangeTerms,
  type ResourceServer,
} from "@mayfly/spec";
import { ADMIN, eventKinds, refusedWith, unique } from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

const serverOf = (change: Partial<ResourceServer> = {}): ResourceServer => ({
  name: parseResourceServerName(unique("api"), "name"),
  enabled: true,
  description: "Reports",
  identities: [
    { spiffeId: "spiffe://acme.test/api/*" },
    { issuer: "https://login.acme.test", subject: "reports-api" },
  ],
  audiences: ["https://reports.acme.test"],
  ...change,
});
const under = (precondition: ChangeTerms["precondition"]): ChangeTerms => ({
  ...NO_TERMS,
  precondition,
});

/** Resource servers in the catalogue: K1, K2, K4 and K6 of them. */
export function describeServing(ledgerOf: () => LedgerUnderTest): void {
  const changes = async ({ catalog }: LedgerUnderTest): Promise<readonly [number, number]> => {
    const kinds = await eventKinds(ledgerOf(), {});
    const ours = kinds.filter((kind) => kind.startsWith("resource_server."));
    return [await catalog.version(), ours.length];
  };
  const found = async ({ name }: ResourceServer) =>
    (await ledgerOf().catalog.snapshot()).resourceServers.find((each) => each.name === name);

  describe("resource servers", () => {
    test("K1 K2. each change is an event and raises the version by one", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const server = serverOf();
      for (const step of [
        () => catalog.putResourceServer(server, ADMIN),
        () => catalog.putResourceServer({ ...server, audiences: [] }, ADMIN),
        () => catalog.putResourceServer({ ...server, taskTokens: "all" }, ADMIN),
        () => catalog.setResourceServerEnabled(server.name, false, ADMIN),
        () => catalog.setResourceServerEnabled(server.name, true, ADMIN),
        () => catalog.deleteResourceServer(server.name, ADMIN),
      ]) {
        const [version, events] = await changes(ledger);
        await step();
        expect(await changes(ledger)).toEqual([version + 1, events + 1]);
      }
    });

    test("are in the snapshot as they were put, with a revision that is never used again", async () => {
      const { catalog } = ledgerOf();
      const server = serverOf();
      expect(await catalog.putResourceServer(server, ADMIN)).toBe("created");
      expect(await found(server)).toMatchObject({ ...server, revision: 1 });
      await catalog.setResourceServerEnabled(server.name, false, ADMIN);
      expect(await found(server)).toMatchObject({ enabled: false, revision: 2 });
      await catalog.deleteResourceServer(server.name, ADMIN);
      expect(await found(server)).toBeUndefined();
      expect(await catalog.putResourceServer(server, ADMIN)).toBe("created");
      expect((await found(server))?.revision).toBeGreaterThan(2);
    });

    test("K4. putting what is already there changes nothing", async () => {
      const ledger = ledgerOf();
      const server = serverOf();
      await ledger.catalog.putResourceServer(server, ADMIN);
      const before = await changes(ledger);
      expect(await ledger.catalog.putResourceServer(structuredClone(server), ADMIN)).toBe(
        "unchanged",
      );
      await ledger.catalog.setResourceServerEnabled(server.name, true, ADMIN);
      expect(await changes(ledger)).toEqual(before);
    });

    test("K6. a precondition that does not hold changes nothing", async () => {
      const ledger = ledgerOf();
      const { catalog } = ledger;
      const server = serverOf();
      const absent = under({ kind: "absent" });
      const stale = under({ kind: "unchanged", tags: ["7"] });
      await refusedWith(
        "precondition_failed",
        catalog.putResourceServer(server, ADMIN, under({ kind: "present" })),
      );
      await catalog.putResourceServer(server, ADMIN, absent);
      const before = await changes(ledger);
      for (const attempt of [
        () => catalog.putResourceServer({ ...server, audiences: [] }, ADMIN, absent),
        () => catalog.setResourceServerEnabled(server.name, false, ADMIN, stale),
        () => catalog.deleteResourceServer(server.name, ADMIN, stale),
      ]) {
        await refusedWith("precondition_failed", attempt());
      }
      expect(await changes(ledger)).toEqual(before);
      const now = under({ kind: "unchanged", tags: ["1"] });
      await catalog.deleteResourceServer(server.name, ADMIN, now);
    });

    test("one that is not there is not found, and one decided from an earlier version refused", async () => {
      const { catalog } = ledgerOf();
      const { name } = serverOf();
      await refusedWith("not_found", catalog.setResourceServerEnabled(name, true, ADMIN));
      await refusedWith("not_found", catalog.deleteResourceServer(name, ADMIN));
      const decidedAt = await catalog.version();
      await catalog.putResourceServer(serverOf(), ADMIN);
      await refusedWith(
        "conflict",
        catalog.putResourceServer(serverOf(), ADMIN, { ...NO_TERMS, decidedAt }),
      );
      expect(await catalog.version()).toBe(decidedAt + 1);
    });
  });
}
