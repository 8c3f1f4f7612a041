import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startMarkOf } from "./process-table.ts";
import { claim, endEarlierServer, livingOwnerOf, type EarlierServer } from "./server-owner.ts";

let directory: string;
let earlier: EarlierServer;

beforeEach(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "mayfly-test-")));
  earlier = {
    directory,
    program: "postgres",
    pidFile: "server.pid",
    signals: [{ signal: "SIGKILL", graceMs: 1_000 }],
    log: () => undefined,
  };
});
afterEach(() => rm(directory, { recursive: true }));

test("a process that claims a directory is its living owner", async () => {
  expect(await livingOwnerOf(directory)).toBeUndefined();
  await claim(directory);
  expect(await livingOwnerOf(directory)).toBe(process.pid);
});

test("a later process with the owner's id is not the owner", async () => {
  await writeFile(join(directory, "mayfly.owner"), `${process.pid} long-ago\n`);
  expect(await livingOwnerOf(directory)).toBeUndefined();
});

test("a process that is not the program in the directory gets no signal", async () => {
  // This very process: a signal would end the test run.
  await writeFile(join(directory, "server.pid"), `${process.pid}\n`);
  expect(await endEarlierServer(earlier)).toBe("stranger");
  expect(await startMarkOf(process.pid)).toBeDefined();
});

test.each(["", "0\n", "1\n", "-1\n", "rubbish\n", "999999999\n"])(
  "a process id that cannot be a server's (%j) means that nothing was left",
  async (text) => {
    await writeFile(join(directory, "server.pid"), text);
    expect(await endEarlierServer(earlier)).toBe("nothing");
  },
);
