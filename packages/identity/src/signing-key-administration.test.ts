import { decodeProtectedHeader } from "jose";
import { describe, expect, test } from "vitest";
import { parseId, plusSeconds, durationSeconds, type Clock, type Secret } from "@mayfly/spec";
import {
  createFakeClock,
  createFakeSealer,
  createFakeSigningKeyStore,
  seededRandom,
} from "@mayfly/testkit";
import { createSigningKeyAdministration } from "./signing-key-administration.ts";
import { createTaskTokens } from "./task-tokens.ts";
import { defaultTaskTokensSettings as settings } from "./task-tokens-settings.ts";

const ADMIN = { kind: "administrator", name: "alice" } as const;
const HOUR = 3_600_000;

/** Two brokers over one store, and an administrator at a third. */
async function setUp() {
  const clock = createFakeClock();
  const store = createFakeSigningKeyStore();
  const sealer = createFakeSealer();
  const part = (seed: string) => ({
    issuer: "https://mayfly.test",
    store,
    sealer,
    clock,
    random: seededRandom(seed),
    settings,
  });
  const [one, two] = [createTaskTokens(part("one")), createTaskTokens(part("two"))];
  await one.rotate(clock.now());
  await two.rotate(clock.now());
  const sign = (by = one): Promise<Secret> =>
    by.sign({
      taskId: parseId("task", `task_0199a0b1c2d37e4f8${"0".repeat(15)}`, "task"),
      subject: "spiffe://acme.test/agent",
      issuedAt: clock.now(),
      expiresAt: plusSeconds(clock.now(), durationSeconds(600)),
      confirmation: null,
      authorizationDetails: [],
    });
  const isTrusted = async (token: Secret, by = one): Promise<boolean> =>
    by.verify(token, clock.now()).then(
      () => true,
      () => false,
    );
  const administration = createSigningKeyAdministration(part("administrator"));
  const states = async () => (await administration.list()).map(({ state }) => state);
  return { clock, store, one, two, sign, isTrusted, administration, states };
}
const kidOf = (token: Secret): unknown => decodeProtectedHeader(token.expose("reply")).kid;

describe("a planned rotation", () => {
  test("publishes the next key, which signs an hour later; no valid token is refused", async () => {
    const { clock, one, two, sign, isTrusted, administration, states } = await setUp();
    const added = await administration.rotate(ADMIN);
    expect(added.kind).toBe("added");
    expect(await states()).toEqual(["next", "signs"]);
    expect(await administration.rotate(ADMIN)).toEqual({ ...added, kind: "already" });
    await clock.advance(HOUR - 1000);
    const last = await sign();
    expect(kidOf(last)).not.toBe(added.kid);
    await clock.advance(5_000);
    expect(kidOf(await sign(two))).toBe(added.kid);
    expect(await states()).toEqual(["signs", "verifies"]);
    await clock.advance(9 * 60_000);
    expect([await isTrusted(last), await isTrusted(last, two)]).toEqual([true, true]);
    await clock.advance(4 * 60_000);
    expect(await states()).toEqual(["signs", "retired"]);
    await one.rotate(clock.now());
    expect(await administration.list()).toHaveLength(2);
  });
});

describe("a key that leaked", () => {
  test("is trusted by no broker 5 seconds later, and another signs at once", async () => {
    const { clock, one, two, sign, isTrusted, administration } = await setUp();
    const forged = await sign();
    expect(await isTrusted(forged, two)).toBe(true);
    const retired = await administration.retire(String(kidOf(forged)), ADMIN);
    expect(retired.kind).toBe("retired");
    await clock.advance(5_000);
    expect([await isTrusted(forged), await isTrusted(forged, two)]).toEqual([false, false]);
    for (const broker of [one, two]) {
      const token = await sign(broker);
      expect(kidOf(token)).toBe(retired.replacedBy);
      expect([await isTrusted(token), await isTrusted(token, two)]).toEqual([true, true]);
    }
    expect(await administration.retire(retired.kid, ADMIN)).toMatchObject({ kind: "already" });
  });

  test("is trusted no longer where the ledger answers late, or the clock is behind", async () => {
    const { clock, store, sign, isTrusted, administration } = await setUp();
    const forged = await sign();
    const parts = { issuer: "https://mayfly.test", sealer: createFakeSealer(), settings };
    const behind: Clock = { ...clock, now: () => plusSeconds(clock.now(), durationSeconds(-60)) };
    let late = false;
    const slow = createTaskTokens({
      ...parts,
      clock,
      random: seededRandom("slow"),
      store: {
        ...store,
        list: async () => {
          const keys = await store.list();
          if (late) await clock.sleep(4_000);
          return keys;
        },
      },
    });
    const tardy = createTaskTokens({ ...parts, clock: behind, random: seededRandom("3"), store });
    expect([await isTrusted(forged, slow), await isTrusted(forged, tardy)]).toEqual([true, true]);
    await clock.advance(5_000);
    late = true;
    const read = isTrusted(forged, slow);
    await administration.retire(String(kidOf(forged)), ADMIN);
    await clock.advance(4_000);
    expect(await read).toBe(true);
    late = false;
    await clock.advance(1_000);
    const atTardy = tardy.verify(forged, behind.now()).then(
      () => true,
      () => false,
    );
    expect([await isTrusted(forged, slow), await atTardy]).toEqual([false, false]);
  });

  test("is published by no broker for longer than it is trusted; a ledger that is away hides none", async () => {
    const { clock, store, two, sign, administration } = await setUp();
    const shown = async (by = two): Promise<readonly unknown[]> =>
      (await by.jwks()).keys.map(({ kid }) => kid);
    const leaked = kidOf(await sign());
    expect(await shown()).toEqual([leaked]);
    const { replacedBy } = await administration.retire(String(leaked), ADMIN);
    await clock.advance(5_000);
    expect(await shown()).toEqual([replacedBy]);
    let away = false;
    const parts = { issuer: "https://mayfly.test", clock, sealer: createFakeSealer(), settings };
    const broker = createTaskTokens({
      ...parts,
      random: seededRandom("4"),
      store: {
        ...store,
        list: () => (away ? Promise.reject(new Error("the ledger is away")) : store.list()),
      },
    });
    expect(await shown(broker)).toEqual([replacedBy]);
    away = true;
    await clock.advance(60_000);
    expect(await shown(broker)).toEqual([replacedBy]);
  });

  test("is retired even where a clock that is ahead takes it for over already", async () => {
    const { clock, sign, isTrusted, administration } = await setUp();
    await administration.rotate(ADMIN);
    const old = await sign();
    await clock.advance(HOUR + 12 * 60_000 - 30_000);
    const store = await administration.list();
    const over = store.find(({ kid }) => kid === kidOf(old))?.verifiesUntilAt ?? 0;
    await clock.advance(over - clock.now());
    expect(await administration.retire(String(kidOf(old)), ADMIN)).toMatchObject({
      kind: "retired",
    });
    expect(await isTrusted(old)).toBe(false);
  });

  test("takes a next key with it that has not signed, so that rotation goes on as ever", async () => {
    const { clock, one, sign, administration, states } = await setUp();
    await clock.advance(1000);
    const { kid: next } = await administration.rotate(ADMIN);
    const leaked = kidOf(await sign());
    const { replacedBy } = await administration.retire(String(leaked), ADMIN);
    const found = Object.fromEntries(
      (await administration.list()).map(({ kid, state }) => [kid, state]),
    );
    expect(found).toEqual({
      [String(leaked)]: "retired",
      [next]: "retired",
      [String(replacedBy)]: "signs",
    });
    for (let day = 0; day < 70; day++) {
      await clock.advance(24 * HOUR);
      await one.rotate(clock.now());
      expect(kidOf(await sign())).not.toBe(leaked);
    }
    expect((await states()).filter((state) => state === "signs")).toHaveLength(1);
    expect(await administration.list()).toHaveLength(5);
  });

  test("while a planned rotation overlaps, the newer key keeps its tokens", async () => {
    const { clock, sign, isTrusted, administration } = await setUp();
    const old = await sign();
    await administration.rotate(ADMIN);
    await clock.advance(HOUR + 5_000);
    const good = await sign();
    await administration.retire(String(kidOf(old)), ADMIN);
    await clock.advance(5_000);
    expect(await isTrusted(good)).toBe(true);
    await clock.advance(590_000);
    expect(await isTrusted(good)).toBe(true);
    expect(await isTrusted(await sign())).toBe(true);
  });

  test("is not found under another name", async () => {
    const { administration } = await setUp();
    await expect(administration.retire("nobody", ADMIN)).rejects.toMatchObject({
      code: "not_found",
    });
  });
});
