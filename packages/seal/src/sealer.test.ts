import { createSecretKey } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { bindingOf, Secret, type Sealer } from "@mayfly/spec";
import { seededRandom } from "@mayfly/testkit";
import { describeSealContract } from "@mayfly/testkit/contract";
import type { KeyRing, RingKey } from "./key-ring.ts";
import { createSealer } from "./sealer.ts";

function keyNamed(id: string): RingKey {
  return { id, key: createSecretKey(Buffer.from(seededRandom(id).bytes(32))) };
}

function ringOf(
  [first, ...rest]: readonly [string, ...string[]],
  [root, ...olderRoots]: readonly [string, ...string[]] = ["root-1"],
): KeyRing {
  return {
    sealing: [keyNamed(first), ...rest.map(keyNamed)],
    root: [keyNamed(root), ...olderRoots.map(keyNamed)],
  };
}

function sealerOf(...ring: Parameters<typeof ringOf>): Sealer {
  return createSealer({ keys: ringOf(...ring), random: seededRandom(ring[0].join()) });
}

describeSealContract("@mayfly/seal", { createSealer: (keyNames) => sealerOf(keyNames) });

describe("rotation", () => {
  test("says under which key a value is, until it was resealed under the next", async () => {
    const binding = bindingOf.leaseHandle("lease_1");
    const old = await sealerOf(["k1"]).seal(Secret.of("handle"), binding);
    const during = sealerOf(["k2", "k1"]);
    expect(during.keyIds).toEqual(["k2", "k1"]);
    expect(during.keyIdOf(old)).toBe("k1");
    const fresh = await during.seal(await during.open(old, binding), binding);
    expect(during.keyIdOf(fresh)).toBe("k2");
    expect((await sealerOf(["k2"]).open(fresh, binding)).expose("crypto")).toBe("handle");
  });

  test("a tag made under an older root key verifies; a new one is made under the current", () => {
    const before = sealerOf(["k1"], ["root-1"]);
    const after = sealerOf(["k1"], ["root-2", "root-1"]);
    const dropped = sealerOf(["k1"], ["root-2"]);
    expect(after.verifyTag("lease_1", before.tag("lease_1"))).toBe(true);
    expect(after.tag("lease_1")).not.toBe(before.tag("lease_1"));
    expect(dropped.verifyTag("lease_1", after.tag("lease_1"))).toBe(true);
    expect(dropped.verifyTag("lease_1", before.tag("lease_1"))).toBe(false);
  });

  test("a key under another's name opens nothing", async () => {
    const sealed = await sealerOf(["k1"]).seal(Secret.of("handle"), "b");
    const impostor: KeyRing = {
      sealing: [{ id: "k1", key: keyNamed("k2").key }],
      root: [keyNamed("root-1")],
    };
    const sealer = createSealer({ keys: impostor, random: seededRandom(1) });
    await expect(sealer.open(sealed, "b")).rejects.toThrow("cannot be opened");
  });
});

test("what is not a sealed value has no key: it is an error", () => {
  const sealer = sealerOf(["k1"]);
  expect(() => sealer.keyIdOf(new Uint8Array(0))).toThrow("cannot be opened");
  expect(() => sealer.keyIdOf(new Uint8Array(200))).toThrow("cannot be opened");
});

test("a sealer and a ring show no key", () => {
  const ring = ringOf(["k1"]);
  const key = ring.sealing[0].key.export();
  const shown = inspect([ring, createSealer({ keys: ring, random: seededRandom(1) })], {
    depth: 9,
    showHidden: true,
  });
  expect(shown + JSON.stringify(ring)).not.toContain(key.toString("hex"));
  expect(shown + JSON.stringify(ring)).not.toContain(key.toString("base64"));
});
