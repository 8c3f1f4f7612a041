import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";

const folder = new URL("./", import.meta.url);
const spec = new URL("../../../spec/src/", import.meta.url);
/** Of the interface and of its members' own. */
const INTERFACES = ["backend.ts", "secret-rotation.ts", "token-verification.ts"];

/** The letters of the interfaces' comments: `C1`, `I4`. */
const obligations = (): ReadonlySet<string> =>
  new Set(
    INTERFACES.flatMap((name) => [
      ...readFileSync(new URL(name, spec), "utf8").matchAll(/\b([A-Z]\d)\b/g),
    ]).map(([, letter = ""]) => letter),
  );

test("each lettered obligation of a backend has a test of the suite, and no other letter has", () => {
  const titles = readdirSync(folder)
    .filter((name) => /^backend-contract.*\.ts$/.test(name))
    .flatMap((name) => [
      ...readFileSync(new URL(name, folder), "utf8").matchAll(/["`]((?:[A-Z]\d(?:, )?)+)\. /g),
    ])
    .flatMap(([, letters = ""]) => letters.split(", "));
  expect(obligations().size).toBeGreaterThan(20);
  expect([...new Set(titles)].toSorted()).toEqual([...obligations()].toSorted());
});
