import { describe, expect, test } from "vitest";
import { read, repositoryFiles } from "./repository.ts";
import { TEXT_RULES } from "./text-rules.ts";

/** With fewer files than that, a rule looks in the wrong place. */
const LEAST_FILES: Readonly<Record<string, number>> = { "no test is left out": 15 };

describe.each(TEXT_RULES)("$name", ({ name, why, applies, problems, seeds }) => {
  test("in every file of the repository that it is about", async () => {
    const files = (await repositoryFiles()).filter((path) => applies(path));
    const found = files.flatMap((path) =>
      problems(read(path), path).map((problem) => `${path}: ${problem}`),
    );
    expect(found, why).toEqual([]);
    expect(files.length).toBeGreaterThan(LEAST_FILES[name] ?? 60);
  });

  test("finds its seeds, and nothing in what is sound", () => {
    for (const [path, text] of seeds.broken) {
      expect(problems(text, path), `${path}: ${text.slice(0, 80)}`).not.toEqual([]);
    }
    for (const [path, text] of seeds.sound) {
      expect(problems(text, path), `${path}: ${text.slice(0, 80)}`).toEqual([]);
    }
    expect(seeds.broken.length * seeds.sound.length).toBeGreaterThan(0);
  });
});
