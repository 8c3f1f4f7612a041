import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { expect, test } from "vitest";
import { idFromUuid, instantMs, type JsonObject } from "@mayfly/spec";
import { canonicalEvent, chainHash, leafHash, type LoggedEvent } from "./leaf-hash.ts";

const UUID = "01a22d54-2fbc-7b76-88f6-9e2841c13add";
const EVENT: LoggedEvent = {
  id: idFromUuid("event", UUID),
  kind: "task.opened",
  at: instantMs(1_796_056_821_414),
  actor: { kind: "workload", name: 'spiffe://system.test/a "b"\u2028é😀' },
  taskId: null,
  leaseId: null,
  decisionId: null,
  data: {},
};
/** Keys that JSON and JavaScript would each order in another way, and numbers at the edges. */
const AWKWARD: readonly JsonObject[] = [
  {},
  { b: 1, a: [], "": null, "10": true, "9": false, "\ufb33": 1, "\u{1f600}": 2, "€": 3 },
  { deep: [{ z: { y: [[], {}, [null, { x: -0 }]], a: "\u0000\u001f\\" } }] },
  { numbers: [1e21, 1e-7, 5e-324, 1.7976931348623157e308, 2 ** 53 + 2, 0.1, -1.5] },
];
const EVENTS: readonly LoggedEvent[] = AWKWARD.flatMap((data) => [
  { ...EVENT, data },
  { ...EVENT, data, taskId: idFromUuid("task", UUID), leaseId: idFromUuid("lease", UUID) },
  { ...EVENT, data, decisionId: idFromUuid("decision", UUID) },
]);
const sha256 = (...parts: readonly Uint8Array[]): string =>
  createHash("sha256").update(Buffer.concat(parts)).digest("hex");

test("an event is hashed as the canonical JSON of the whole of it, behind its prefix and its salt", () => {
  const salt = new Uint8Array(16).fill(7);
  for (const event of EVENTS) {
    const text = canonicalize(event) ?? "";
    expect(canonicalEvent(event)).toBe(text);
    const bytes = Buffer.from(text, "utf8");
    expect(leafHash(event, null).toString("hex")).toBe(sha256(Uint8Array.of(0), bytes));
    expect(leafHash(event, salt).toString("hex")).toBe(sha256(Uint8Array.of(3), salt, bytes));
  }
});

test("the leaf of an event is the same for ever", () => {
  const [, , , awkward] = EVENTS;
  expect(leafHash(awkward ?? EVENT, null).toString("hex")).toBe(
    "2d3f581a49c7907e457165c43a0094ede145de1bfb2541f19a9862108f5cd41c",
  );
});

test("a link of the chain is the hash of the one before it and of the leaf", () => {
  const [before, leaf] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  expect(chainHash(before, leaf).toString("hex")).toBe(sha256(before, leaf));
});

test("a text that is no Unicode has no leaf", () => {
  const broken = { ...EVENT, data: { goal: "\ud800" } };
  expect(() => leafHash(broken, null)).toThrow("Lone surrogate");
});

test("a UUID becomes an id as it is stored or in capitals, and never one of another version", () => {
  expect(idFromUuid("event", UUID)).toBe("evt_01a22d542fbc7b7688f69e2841c13add");
  expect(idFromUuid("event", UUID.toUpperCase())).toBe(idFromUuid("event", UUID));
  for (const other of [
    UUID.replace("-7b76", "-4b76"),
    UUID.slice(1),
    `${UUID}0`,
    "",
    `${UUID}\n`,
  ]) {
    expect(() => idFromUuid("event", other), other).toThrow("is none");
  }
});
