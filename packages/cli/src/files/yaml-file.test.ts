import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CliError } from "../cli-error.ts";
import { parseYaml, readTextFile } from "./yaml-file.ts";

test("a device is not read, since it may have no end", () => {
  expect(() => readTextFile("/dev/zero")).toThrow("no regular file");
});

test("a file of more than 1 MiB is not read", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-yaml-"));
  try {
    const path = join(folder, "large.yaml");
    await writeFile(path, "a".repeat(1024 * 1024 + 1));
    expect(() => readTextFile(path)).toThrow("larger than 1 MiB");
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Where it complains. */
function refusalOf(text: string): unknown {
  try {
    return parseYaml(text, "odd.yaml");
  } catch (error) {
    return error instanceof CliError ? error.parts.where : error;
  }
}

test("what readers of YAML take differently is an error with its place", () => {
  for (const [text, place] of [
    ["%YAML 1.1\n---\nenabled: no", ":1:1"],
    ["a: !env SECRET", ":1:4"],
    ["a:\n  1: x\n  '1': y", ":2:3"],
    ["a:\n  true: x", ":2:3"],
    ["a:\n  ? [b]\n  : x", ":2:5"],
    ["a: &a b\nc:\n  *a : x", ":3:3"],
    ["a: &a { x: y }\nb:\n  !!merge <<: *a", ":3:11"],
    ["a:\n  __proto__: { b: c }", ":2:3"],
    ["--- a\n---\n__proto__: x", ":3:1"],
  ] as const) {
    expect(refusalOf(text), text).toBe(`odd.yaml${place}`);
  }
  const [plain] = parseYaml('%YAML 1.2\n---\n"a b": !!str 1\n<<: no', "plain.yaml");
  expect(plain?.value).toEqual({ "a b": "1", "<<": "no" });
});

test("a YAML bomb of aliases is a plain error", () => {
  const bomb = ["a: &a [x]"];
  for (let level = 1; level < 9; level++) {
    const before = String.fromCodePoint(96 + level);
    const here = String.fromCodePoint(97 + level);
    bomb.push(`${here}: &${here} [${Array.from({ length: 9 }, () => `*${before}`).join(", ")}]`);
  }
  expect(() => parseYaml(bomb.join("\n"), "bomb.yaml")).toThrow("cannot be read");
});
