import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { read, ROOT } from "./repository.ts";

/*
 * ARCHITECTURE.md says how much of everything there may be. A number that somebody changed in the
 * code would make it a page that lies, and nobody reads a table of numbers twice.
 */
interface Bound {
  readonly text: string;
  readonly names: readonly string[];
  readonly path: string;
}

const ROW = /^\| [^|]+ \| ([^|]+) \| ((?:`\w+`(?:, )?)+) in `([\w./-]+)` \|$/gm;

const boundsOf = (page: string): readonly Bound[] =>
  [...page.matchAll(ROW)].map(([, text = "", names = "", path = ""]) => ({
    text,
    names: [...names.matchAll(/\w+/g)].map(([name]) => name),
    path,
  }));

/** `96 * 1024` and `10_000`; products only. */
const valueOf = (product: string): number =>
  product
    .split("*")
    .map((factor) => Number(factor.replaceAll(/[_\s]/g, "")))
    .reduce((all, factor) => all * factor, 1);

/** Every product of whole numbers in a constant's definition; null where it has none. */
function definitionOf(name: string, source: string): readonly number[] | null {
  const [, body] = new RegExp(`\\b${name}\\b(?::[^=;]*)?(?: =|: )([^;]*)`).exec(source) ?? [];
  if (body === undefined) return null;
  return [...body.matchAll(/\b\d[\d_]*(?:\s*\*\s*\d[\d_]*)*/g)].map(([product]) =>
    valueOf(product),
  );
}

/** A millisecond, a second, a minute, a day; a byte, a KiB, a MiB. */
const UNITS = [1, 1_000, 60_000, 86_400_000, 1_024, 1_048_576];

/** Numbers of a cell that no constant of its row has, in whatever unit. */
function wrongIn({ text, names, path }: Bound, source: string | null): readonly string[] {
  if (source === null) return [`there is no file ${path}`];
  const defined = names.map((name) => definitionOf(name, source));
  const undefinedNames = names.filter((_, index) => defined[index] === null);
  if (undefinedNames.length > 0) return [`${path} does not define ${undefinedNames.join(", ")}`];
  const values = new Set(defined.flatMap((each) => each ?? []));
  const shown = [...text.replaceAll(/`[^`]*`/g, "").matchAll(/\d[\d,]*\d|\d/g)].map(([number]) =>
    Number(number.replaceAll(",", "")),
  );
  if (shown.length === 0) return [`${names.join(", ")} has no number`];
  return shown
    .filter((number) => !UNITS.some((unit) => values.has(number * unit)))
    .map((number) => `${path}: ${names.join(", ")} is not ${number}`);
}

const readOrNull = (path: string): string | null =>
  existsSync(join(ROOT, path)) ? read(path) : null;

test("every number of ARCHITECTURE.md is its constant's", () => {
  const bounds = boundsOf(read("ARCHITECTURE.md"));
  expect(bounds.length).toBeGreaterThan(50);
  expect(bounds.flatMap((bound) => wrongIn(bound, readOrNull(bound.path)))).toEqual([]);
});

test("another number, a constant that is gone and a file that is gone are found", () => {
  const source = "const A_MAX = 96 * 1024;\nconst WAITS: Waits = { batch: 100, alone: 3_000 };";
  const wrong = (row: string): readonly string[] =>
    boundsOf(row).flatMap((bound) => wrongIn(bound, bound.path === "a.ts" ? source : null));
  expect(wrong("| a | 96 KiB | `A_MAX` in `a.ts` |")).toEqual([]);
  expect(wrong("| a | 100 ms, 3 s | `WAITS` in `a.ts` |")).toEqual([]);
  expect(wrong("| a | 64 KiB | `A_MAX` in `a.ts` |")).toEqual(["a.ts: A_MAX is not 64"]);
  expect(wrong("| a | 250 ms | `WAITS` in `a.ts` |")).toEqual(["a.ts: WAITS is not 250"]);
  expect(wrong("| a | 1 | `GONE` in `a.ts` |")).toEqual(["a.ts does not define GONE"]);
  expect(wrong("| a | many | `A_MAX` in `a.ts` |")).toEqual(["A_MAX has no number"]);
  expect(wrong("| a | 1 | `A_MAX` in `b.ts` |")).toEqual(["there is no file b.ts"]);
});
