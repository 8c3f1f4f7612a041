import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const CHECKOUT = join(import.meta.dirname, "../..");

test.each([
  "bin/mayfly",
  "infra/image/bin/broker",
  "infra/image/bin/worker",
  "infra/image/bin/mayfly",
])("%s starts a process whose memory no other user reads through a debugger", (path) => {
  const started = readFileSync(join(CHECKOUT, path), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("exec "));
  expect(started).toHaveLength(1);
  // Without it, SIGUSR1 has Node listen on a port of loopback, to whoever connects.
  expect(started[0]).toContain(" --disable-sigusr1 ");
});

test("so does the bootstrap, for the demo and for development", () => {
  const text = readFileSync(join(CHECKOUT, "bootstrap/run.mjs"), "utf8");
  expect(text).toContain('const flags = ["--disable-sigusr1"];');
  expect(text).toContain("runChild(node, [...flags, ");
});
