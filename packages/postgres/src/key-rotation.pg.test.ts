import { afterAll, beforeAll, expect, test } from "vitest";
import {
  bindingOf,
  durationSeconds,
  instantMs,
  parseBackendId,
  Secret,
  type StoredSigningKey,
} from "@mayfly/spec";
import { createFakeSealer } from "@mayfly/testkit";
import { ledgerFixtures } from "@mayfly/testkit/contract";
import { createTestLedger, type TestLedger } from "./testing/test-ledger.ts";

const { activation, ADMIN, claimOne, endTask, registerBackend, reserveLease } = ledgerFixtures;
const LEASES = 7;

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await createTestLedger();
});
afterAll(() => ledger.close());

const keyOf = (kid: string, sealed: Uint8Array, from: number): StoredSigningKey => ({
  kid,
  publicJwk: { kid },
  sealedPrivateJwk: sealed,
  createdAt: ledger.ports.now(),
  signsFromAt: instantMs(ledger.ports.now() + from),
  verifiesUntilAt: null,
});

async function sealEverything(sealer: ReturnType<typeof createFakeSealer>) {
  const backend = await registerBackend(ledger.ports);
  const config = await sealer.seal(Secret.of("config"), bindingOf.backendConfig(backend.id, 1));
  await ledger.superuser`
    UPDATE mayfly.backend_revisions SET sealed_config = ${Buffer.from(config)}`;
  for (let n = 0; n < LEASES; n++) {
    const { task, lease } = await reserveLease(ledger.ports, backend);
    const sealedHandle = await sealer.seal(Secret.of("h"), bindingOf.leaseHandle(lease.id));
    await ledger.ports.issue.activate(lease, { ...activation(ledger.ports), sealedHandle });
    if (n > 0) continue;
    await endTask(ledger.ports, task.id);
    const ended = { kind: "ended", outcome: "revoked", looked: {} } as const;
    await ledger.ports.sweep.settle(await claimOne(ledger.ports, backend), ended);
  }
  const sealedKey = await sealer.seal(Secret.of("jwk"), bindingOf.signingKey("k-1"));
  const { signingKeys } = ledger.broker;
  expect(await signingKeys.add(keyOf("k-1", sealedKey, 0), null, durationSeconds(720))).toBe(true);
  for (const id of ["orders-api", "stock-api"]) {
    const own = await sealer.seal(Secret.of("jwk"), bindingOf.backendKey(id, "k-1"));
    const store = ledger.broker.backendKeys.of(parseBackendId(id, "backend"));
    expect(await store.add(keyOf("k-1", own, 0), null, durationSeconds(720))).toBe(true);
  }
}

test("the broker re-seals all that is needed, and says so in the log", async () => {
  await sealEverything(createFakeSealer(["old"]));
  const { sealed } = ledger.broker;
  const sealer = createFakeSealer(["new", "old"]);
  const all = await sealed.page(null, 1000);
  const leases = Array.from({ length: LEASES - 1 }, () => "lease");
  const kinds = [...leases, "backend", "signing_key", "backend_key", "backend_key"];
  expect(all.map(({ kind }) => kind)).toEqual(kinds);
  const fresh = await Promise.all(
    all.map(async (value) => {
      const plain = await sealer.open(value.sealed, value.binding);
      return { value, sealed: await sealer.seal(plain, value.binding) };
    }),
  );
  expect(await sealed.replace(fresh, "new", ADMIN)).toBe(LEASES + 3);
  const after = await sealed.page(null, 1000);
  expect(after.map((each) => sealer.keyIdOf(each.sealed))).toEqual(kinds.map(() => "new"));
  expect(await sealed.replace(fresh, "new", ADMIN)).toBe(0);
  const { items } = await ledger.ports.queries.events(
    { kind: "sealing.resealed" },
    { limit: 10, after: null },
  );
  expect(items).toMatchObject([
    {
      actor: ADMIN,
      data: { keyId: "new", leases: LEASES - 1, backends: 1, signingKeys: 1, backendKeys: 2 },
    },
  ]);
});

test("pages of any size meet each value once, in one order", async () => {
  const { sealed } = ledger.broker;
  const all = await sealed.page(null, 1000);
  for (const size of [1, 2, 3, 5]) {
    const places: string[] = [];
    let page = await sealed.page(null, size);
    while (page.length > 0) {
      places.push(...page.map(({ place }) => place));
      page = await sealed.page(places.at(-1) ?? null, size);
    }
    expect(places).toEqual(all.map(({ place }) => place));
  }
  await expect(sealed.page("nowhere", 5)).rejects.toThrow("expected the `next`");
});

test("a value that was written anew, and a lease that ended, are left as they are", async () => {
  const { sealed } = ledger.broker;
  const [value] = await sealed.page(null, 1);
  if (value === undefined) throw new Error("nothing is sealed");
  const stale = { value: { ...value, sealed: Uint8Array.of(9) }, sealed: Uint8Array.of(7) };
  expect(await sealed.replace([stale], "new", ADMIN)).toBe(0);
  const [now] = await sealed.page(null, 1);
  expect(now?.sealed).toEqual(value.sealed);
});

test("a retired key verifies no more at once; of two who retire, one is told that it was late", async () => {
  const { signingKeys } = ledger.broker;
  const old = durationSeconds(720);
  const next = keyOf("k-2", Uint8Array.of(2), 3_600_000);
  expect(await signingKeys.add(next, "k-1", old)).toBe(true);
  const replacements = ["k-3", "k-4"].map((kid) => keyOf(kid, Uint8Array.of(3), -120_000));
  const outcomes = await Promise.all(
    replacements.map((key) => signingKeys.retire("k-1", key, "k-2", old, ADMIN)),
  );
  expect(outcomes.filter(Boolean)).toHaveLength(1);
  const now = await ledger.worker.sweep.now();
  const found = await signingKeys.list();
  expect(found.map(({ kid }) => kid)).toHaveLength(3);
  for (const { kid, verifiesUntilAt } of found) {
    if (kid === "k-1" || kid === "k-2") expect(verifiesUntilAt).toBeLessThanOrEqual(now);
    else expect(verifiesUntilAt).toBeNull();
  }
  const { items } = await ledger.ports.queries.events(
    { kind: "signing_key.retired" },
    { limit: 10, after: null },
  );
  expect(items.filter(({ actor }) => actor.name === ADMIN.name)).toHaveLength(2);
});
