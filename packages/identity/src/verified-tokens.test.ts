import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { instantMs } from "@mayfly/spec";
import { createVerifiedTokens } from "./verified-tokens.ts";

const keys = { keys: [], authorities: [] };
const owner = {};
const claims = { sub: "s" };
const at = instantMs;
const entry = { owner, keys, claims, expiresAt: at(1000) };

describe("cache of verified tokens", () => {
  test("knows what the same verifier verified with the same keys", () => {
    const cache = createVerifiedTokens(2);
    cache.keep("a", entry);
    expect(cache.find("a", owner, keys, at(0))).toBe(claims);
    expect(cache.find("b", owner, keys, at(0))).toBeNull();
  });

  test("forgets at exp, without any skew", () => {
    const cache = createVerifiedTokens(2);
    cache.keep("a", entry);
    expect(cache.find("a", owner, keys, at(999))).toBe(claims);
    expect(cache.find("a", owner, keys, at(1000))).toBeNull();
  });

  test("is bound to the version of the keys and to the verifier", () => {
    const cache = createVerifiedTokens(2);
    cache.keep("a", entry);
    expect(cache.find("a", owner, { keys: [], authorities: [] }, at(0))).toBeNull();
    cache.keep("a", entry);
    expect(cache.find("a", {}, keys, at(0))).toBeNull();
  });

  test.each([1, 2, 3, 4, 10, 11])("is bounded by %i: the oldest go first", (bound) => {
    const cache = createVerifiedTokens(bound);
    const names = Array.from({ length: 5 * bound }, (_, index) => `token ${index}`);
    for (const [index, name] of names.entries()) {
      cache.keep(name, entry);
      expect(cache.size).toBeLessThanOrEqual(bound);
      const known = names.map((each) => cache.find(each, owner, keys, at(0)) !== null);
      // One run of names, which ends with the newest.
      expect(known.lastIndexOf(true)).toBe(index);
      expect(known.lastIndexOf(true) - known.indexOf(true) + 1).toBe(cache.size);
    }
  });

  test("holds nothing of what was verified again, however often and however far from its bound", async () => {
    const cache = createVerifiedTokens(1_000);
    const tokens = 50;
    const known: WeakRef<object>[] = [];
    const verify = (sha256: string): void => {
      const verified = { sub: sha256 };
      known.push(new WeakRef(verified));
      expect(cache.find(sha256, owner, keys, at(1000))).toBeNull();
      cache.keep(sha256, { ...entry, claims: verified });
    };
    for (let nth = 0; nth < 40 * tokens; nth++) verify(`token ${nth % tokens}`);
    // What a weak reference was made of lives until the end of its turn.
    await setImmediate();
    collectGarbage();
    const held = known.filter((reference) => reference.deref() !== undefined);
    expect(held.length).toBeLessThanOrEqual(2 * tokens);
    expect(cache.size).toBe(tokens);
  });

  test("keeps nothing where its bound is 0, and nothing once cleared", () => {
    const off = createVerifiedTokens(0);
    off.keep("a", entry);
    expect(off.size).toBe(0);
    const cache = createVerifiedTokens(2);
    cache.keep("a", entry);
    cache.clear();
    expect(cache.find("a", owner, keys, at(0))).toBeNull();
  });
});

function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error("the tests run with --expose-gc");
  globalThis.gc();
}
