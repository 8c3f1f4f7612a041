import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
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

test("a YAML bomb of aliases is a plain error", () => {
  const bomb = ["a: &a [x]"];
  for (let level = 1; level < 9; level++) {
    const before = String.fromCodePoint(96 + level);
    const here = String.fromCodePoint(97 + level);
    bomb.push(`${here}: &${here} [${Array.from({ length: 9 }, () => `*${before}`).join(", ")}]`);
  }
  expect(() => parseYaml(bomb.join("\n"), "bomb.yaml")).toThrow("cannot be read");
});
