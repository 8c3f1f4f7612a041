import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withLock } from "../../bootstrap/lock.mjs";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-lock-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const options = { waitMs: 400, onWait: () => undefined };

test("a lock is held during the work, and gone after it, also when it fails", async () => {
  const path = join(folder, "lock");
  await withLock(path, options, async () => {
    expect(await readFile(path, "utf8")).toBe(String(process.pid));
  });
  await expect(withLock(path, options, () => Promise.reject(new Error("work")))).rejects.toThrow(
    "work",
  );
  expect(await readdir(folder)).toEqual([]);
});

test("a lock whose process is gone is taken over", async () => {
  const path = join(folder, "lock");
  const gone = execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" });
  await writeFile(path, gone.trim());

  expect(await withLock(path, options, async () => "done")).toBe("done");
  expect(await readdir(folder)).toEqual([]);
});

test("a lock whose process lives is waited for, then named", async () => {
  const path = join(folder, "lock");
  await writeFile(path, String(process.ppid));
  const waitedFor: number[] = [];
  const attempt = withLock(path, { waitMs: 400, onWait: (pid) => waitedFor.push(pid) }, () =>
    Promise.resolve("never"),
  );

  await expect(attempt).rejects.toMatchObject({
    parts: { where: path, why: expect.stringContaining(String(process.ppid)) as string },
  });
  expect(waitedFor).toEqual([process.ppid]);
  expect(await readFile(path, "utf8")).toBe(String(process.ppid));
});

test.each([
  ["is empty", ""],
  ["holds no number", "garbage\n"],
  ["names process 0", "0"],
])("a lock that %s is stale and taken over", async (_what, text) => {
  const path = join(folder, "lock");
  await writeFile(path, text);

  expect(await withLock(path, options, async () => "done")).toBe("done");
  expect(await readdir(folder)).toEqual([]);
});

test("what is no lock at its place is waited for within the bound, then named", async () => {
  const path = join(folder, "lock");
  await mkdir(path);

  await expect(withLock(path, options, async () => "never")).rejects.toMatchObject({
    parts: { where: path, toDo: expect.stringContaining("Remove it") as string },
  });
});
