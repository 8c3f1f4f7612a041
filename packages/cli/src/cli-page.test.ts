import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { cliPage } from "./cli-page.ts";
import { processIo } from "./process-io.ts";
import { createProgram, withDescendants } from "./program.ts";

const nowhere = processIo({}, () => Promise.reject(new Error("a page asks nobody")));

test("docs/cli.md is generated from the commands", () => {
  const page = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8");
  expect(page).toBe(cliPage(nowhere));
});

test("every command has a description and an example", () => {
  const commands = withDescendants(createProgram(nowhere, { code: 0 }, "0.0.0"));
  expect(commands.length).toBeGreaterThan(30);
  expect(commands.filter((command) => command.description() === "")).toEqual([]);
  const page = cliPage(nowhere);
  for (const section of page.split("\n## mayfly ").slice(1)) {
    expect(section, section.slice(0, 40)).toContain("$ ");
  }
});
