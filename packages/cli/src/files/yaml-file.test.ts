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

test("a secret without quotes around it is in no error, whatever the text makes of it", () => {
  for (const value of [
    "*hunter2",
    "*hunter2 *hunter2",
    "&hunter2 &hunter2",
    "!hunter2",
    "!hunter2 x",
    "!<hunter2",
    "|hunter2",
    ">-hunter2",
    "@hunter2",
    "`hunter2",
    "%hunter2",
    '"hunter2\\q"',
    '"hunter2',
    "'hunter2",
    '"x"hunter2',
    "[hunter2",
    "{ hunter2",
    "{ hunter2 }",
    "a: hunter2",
    "x\n  password: hunter2",
    "{ x: *hunter2 }",
    "[hunter2]hunter2",
  ]) {
    const error = errorOf(`config:\n  password: ${value}\n`);
    expect(error?.what, value).toMatch(/^This is no YAML: /);
    expect(JSON.stringify(error), value).not.toContain("hunter2");
    expect(error?.where, value).toMatch(/^odd\.yaml:\d+:\d+$/);
  }
  expect(errorOf("a: { password:hunter2 }")?.what).toContain("put a text with a comma, a colon");
  expect(errorOf("a: { password: hun,ter2 }")?.what).not.toContain("ter2");
  expect(errorOf("a: &hunter2 [*hunter2]")?.what ?? "").not.toContain("hunter2");
  expect(errorOf("a: &hunter2 x\nb: *hunter2\nc:\nd: { e: }")).toBe(null);
});

function errorOf(text: string): CliError["parts"] | null {
  try {
    parseYaml(text, "odd.yaml");
    return null;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return error.parts;
  }
}
