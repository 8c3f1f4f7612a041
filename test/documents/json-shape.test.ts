import { expect, test } from "vitest";
import { changesOf, merged, shapeOf } from "./json-shape.ts";

const kept = shapeOf({ id: "a", at: null, tags: ["x"], lease: { ends: 1, why: "late" } });

test("a member that is gone, new, or of another type is named by its path", () => {
  const found = shapeOf({ id: 7, tags: [{ name: "x" }], lease: { ends: 1, until: "x" } });
  expect(changesOf(kept, found)).toEqual([
    "at is gone",
    "id was string and is number",
    "lease.until is new",
    "lease.why is gone",
    "tags[] was string and is an object",
  ]);
});

test("null, an empty list, other values and one of several kept types are no change", () => {
  expect(changesOf(kept, shapeOf({ id: "b", at: "now", tags: [], lease: null }))).toEqual([]);
  const [until, none] = [{ kind: "until", until: "x" }, { kind: "none" }];
  expect(changesOf(shapeOf({ exposure: until }), shapeOf({ exposure: none }))).toEqual([]);
  expect(changesOf(shapeOf({ exposure: until }), shapeOf({ exposure: { kind: "until" } }))).toEqual(
    ["exposure.kind until.until is gone"],
  );
  const both = merged(kept, shapeOf({ id: 7 }));
  expect(changesOf(both, kept)).toEqual([]);
});
