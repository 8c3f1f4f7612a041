import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BrokerError } from "@mayfly/spec";
import { seededRandom } from "@mayfly/testkit";
import { formatKeyRing, parseKeyRing } from "./key-ring.ts";

const base64 = (name: string): string =>
  Buffer.from(seededRandom(name).bytes(32)).toString("base64");
const key = (id: string): { id: string; key: string } => ({ id, key: base64(id) });
const good = { version: 1, sealing: [key("k2"), key("k1")], root: [key("root-1")] };

function refusal(ring: unknown): BrokerError {
  try {
    parseKeyRing(typeof ring === "string" ? ring : JSON.stringify(ring), "ring");
  } catch (error) {
    if (BrokerError.is(error)) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

test("a ring is read in its order, the current key first, and written back as it was", () => {
  const ring = parseKeyRing(JSON.stringify(good), "ring");
  expect(ring.sealing.map(({ id }) => id)).toEqual(["k2", "k1"]);
  expect(ring.root.map(({ key: root }) => root.export().toString("base64"))).toEqual([
    base64("root-1"),
  ]);
  expect(JSON.parse(formatKeyRing(ring))).toEqual(good);
});

describe("a malformed ring is refused, by place", () => {
  test.each([
    ["not JSON", "{", "not JSON"],
    ["a list", [], "expected an object"],
    ["another version", { ...good, version: 2 }, "ring.version: expected 1"],
    ["an unknown member", { ...good, kdf: 1 }, 'unknown member "kdf"'],
    ["no root key", { version: 1, sealing: good.sealing }, 'missing member "root"'],
    ["an empty list", { ...good, sealing: [] }, "ring.sealing: expected at least one key"],
    ["no list", { ...good, root: {} }, "ring.root: expected a list"],
    ["a bad id", { ...good, root: [{ ...key("r"), id: "R 1" }] }, "ring.root[0].id"],
    ["a short key", { ...good, root: [{ id: "r", key: "AAAA" }] }, "ring.root[0].key"],
    ["one id twice", { ...good, root: [{ id: "k1", key: base64("r") }] }, '"k1" stands twice'],
    ["one key twice", { ...good, root: [{ id: "r", key: base64("k1") }] }, "are the same key"],
    [
      "too many",
      { ...good, root: Array.from({ length: 17 }, (_, i) => key(`r${i}`)) },
      "more than",
    ],
    ["too long", `{"version":1,"x":"${"y".repeat(20_000)}"}`, "longer than"],
  ])("%s", (_name, ring, message) => {
    const error = refusal(ring);
    expect(error.code).toBe("config_invalid");
    expect(error.message).toContain(message);
  });

  test("without showing a key, wherever it stands", () => {
    const secret = base64("k1");
    for (const ring of [
      { ...good, [secret]: 1 },
      { ...good, root: [{ id: secret, key: base64("r") }] },
      { ...good, root: [{ id: "r", key: `${secret}x` }] },
      { ...good, root: [{ ...key("r"), [secret]: 1 }] },
      `{"version":1,"sealing":[${secret}`,
    ]) {
      const error = refusal(ring);
      expect(`${error.message} ${error.stack ?? ""}`).not.toContain(secret);
      expect(error.cause).toBeUndefined();
    }
  });

  test("and any other text ends in config_invalid and in nothing else", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(refusal(text).code).toBe("config_invalid");
      }),
    );
  });
});
