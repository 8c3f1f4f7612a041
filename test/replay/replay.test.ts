import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, inject, test } from "vitest";
import { HISTORIES, type ReplayEnd } from "./background-replay.ts";

const LOOK_EVERY_MS = 500;

async function replayEnd(): Promise<ReplayEnd> {
  const path = inject("mayflyReplay");
  for (;;) {
    const text = await readFile(path, "utf8").catch(() => null);
    if (text !== null) return JSON.parse(text) as ReplayEnd;
    await setTimeout(LOOK_EVERY_MS);
  }
}

test("simulated histories come to the same on real PostgreSQL, call by call and in the end", async () => {
  const { code, stdout, stderr } = await replayEnd();
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  const said: unknown = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
  process.stderr.write(`replayed: ${JSON.stringify(said)}\n`);
  expect(said).toMatchObject({ histories: HISTORIES, differences: 0 });
});
