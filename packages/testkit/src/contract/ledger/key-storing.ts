import { describe, expect, test } from "vitest";
import {
  durationSeconds,
  instantMs,
  parseBackendId,
  plusSeconds,
  type StoredSigningKey,
} from "@mayfly/spec";
import { ADMIN, unique } from "./fixtures.ts";
import type { LedgerUnderTest } from "./subject.ts";

/** Our signing keys: of task tokens, and of each backend that signs itself. */
export function describeKeyStoring(ledgerOf: () => LedgerUnderTest): void {
  describe("signing keys", () => {
    const key = (ledger: LedgerUnderTest): StoredSigningKey => ({
      kid: unique("kid"),
      publicJwk: { kty: "EC", crv: "P-256" },
      sealedPrivateJwk: Uint8Array.of(1, 0, 255),
      createdAt: ledger.now(),
      signsFromAt: plusSeconds(ledger.now(), 60),
      verifiesUntilAt: null,
    });

    const BACKEND = parseBackendId("signs-itself", "backend");
    const STORES = [
      { of: "task tokens", storeOf: (ledger: LedgerUnderTest) => ledger.signingKeys },
      { of: "a backend", storeOf: (ledger: LedgerUnderTest) => ledger.backendKeys.of(BACKEND) },
    ];

    test.each(STORES)(
      "a key of $of is added if the newest is the one expected, and gives the one before its end",
      async ({ storeOf }) => {
        const ledger = ledgerOf();
        const signingKeys = storeOf(ledger);
        const newest = (await signingKeys.list())[0]?.kid ?? null;
        const [first, second, third] = [key(ledger), key(ledger), key(ledger)];
        expect(await signingKeys.add(first, newest, durationSeconds(600))).toBe(true);
        expect(await signingKeys.add(third, newest, durationSeconds(600))).toBe(false);
        expect(await signingKeys.add(second, first.kid, durationSeconds(600))).toBe(true);
        const [now, before] = await signingKeys.list();
        expect(now).toMatchObject({ kid: second.kid, verifiesUntilAt: null });
        expect(before).toMatchObject({
          kid: first.kid,
          publicJwk: first.publicJwk,
          signsFromAt: first.signsFromAt,
          verifiesUntilAt: plusSeconds(second.signsFromAt, 600),
        });
        expect(Uint8Array.from(now!.sealedPrivateJwk)).toEqual(second.sealedPrivateJwk);
      },
    );

    test.each(STORES)(
      "keys of $of that ceased to verify long ago are left out",
      async ({ storeOf }) => {
        const ledger = ledgerOf();
        const signingKeys = storeOf(ledger);
        const long = instantMs(ledger.now() - 3 * 24 * 3600 * 1000);
        const old = { ...key(ledger), createdAt: long, signsFromAt: long };
        const next = { ...key(ledger), createdAt: long, signsFromAt: long };
        const newest = (await signingKeys.list())[0]?.kid ?? null;
        await signingKeys.add(old, newest, durationSeconds(600));
        await signingKeys.add(next, old.kid, durationSeconds(600));
        const kids = (await signingKeys.list()).map(({ kid }) => kid);
        expect(kids).toContain(next.kid);
        expect(kids).not.toContain(old.kid);
      },
    );

    test("a backend's keys are neither another's nor those of task tokens", async () => {
      const ledger = ledgerOf();
      const [one, other] = [unique("signs-a"), unique("signs-b")].map((id) =>
        ledger.backendKeys.of(parseBackendId(id, "backend")),
      );
      const [ofOne, ofOther] = [key(ledger), key(ledger)];
      expect(await one!.add(ofOne, null, durationSeconds(600))).toBe(true);
      expect(await other!.add(ofOther, null, durationSeconds(600))).toBe(true);
      expect((await one!.list()).map(({ kid }) => kid)).toEqual([ofOne.kid]);
      expect((await other!.list()).map(({ kid }) => kid)).toEqual([ofOther.kid]);
      const ofTaskTokens = (await ledger.signingKeys.list()).map(({ kid }) => kid);
      expect(ofTaskTokens).not.toContain(ofOne.kid);
    });

    test("a backend's leaked key verifies no more, and its replacement stands alone", async () => {
      const ledger = ledgerOf();
      const store = ledger.backendKeys.of(parseBackendId(unique("leaked"), "backend"));
      const [leaked, next] = [key(ledger), key(ledger)];
      const now = { ...next, signsFromAt: ledger.now() };
      await store.add(leaked, null, durationSeconds(600));
      expect(await store.retire(leaked.kid, now, null, durationSeconds(600), ADMIN)).toBe(false);
      expect(await store.retire(leaked.kid, now, leaked.kid, durationSeconds(600), ADMIN)).toBe(
        true,
      );
      const found = await store.list();
      expect(found.find(({ kid }) => kid === leaked.kid)!.verifiesUntilAt).toBeLessThan(
        ledger.now(),
      );
      expect(found.find(({ kid }) => kid === next.kid)!.verifiesUntilAt).toBeNull();
    });
  });
}
