import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { OsUser } from "./os-user.ts";
import { reachableCopy } from "./reachable-copy.ts";
import { unreachableFor } from "./reachable-directory.ts";

/** An id that owns nothing here; the test need not become it, only judge for it. */
const other: OsUser = { uid: 54_321, gid: 54_321, name: "other" };
let closed: string;
let installed: string;
let copy: string;

beforeEach(async () => {
  copy = "";
  // mkdtemp makes a directory that only its owner can pass through, as /root is.
  closed = await mkdtemp(join(tmpdir(), "mayfly-test-"));
  installed = join(closed, "native");
  await mkdir(join(installed, "bin"), { recursive: true });
  await writeFile(join(installed, "bin/program"), "#!/bin/sh\n", { mode: 0o700 });
  await symlink("program", join(installed, "bin/link"));
});
afterEach(async () => {
  await rm(closed, { recursive: true });
  if (copy !== "") await rm(copy, { recursive: true });
});

test("what everybody can reach, or we ourselves use, is not copied", async () => {
  expect(await reachableCopy(installed, undefined)).toBe(installed);
  await chmod(closed, 0o755);
  expect(await reachableCopy(installed, other)).toBe(installed);
});

test("the barrier on the way is the outermost directory that is closed", async () => {
  expect(await unreachableFor(other, join(installed, "bin"))).toBe(closed);
  expect(await unreachableFor(other, join(closed, "not/there/yet"))).toBe(closed);
});

test("what another user cannot reach is copied once, links and execute bits included", async () => {
  copy = await reachableCopy(installed, other);
  expect(await unreachableFor(other, join(copy, "bin"))).toBeUndefined();
  expect((await stat(join(copy, "bin/link"))).mode & 0o777).toBe(0o755);
  expect(await readFile(join(copy, "bin/link"), "utf8")).toBe("#!/bin/sh\n");
  const made = await stat(copy);
  expect(await reachableCopy(installed, other)).toBe(copy);
  expect((await stat(copy)).ino).toBe(made.ino);
});

test("a copy that others may have changed is not run", async () => {
  copy = await reachableCopy(installed, other);
  await chmod(copy, 0o777);
  await expect(reachableCopy(installed, other)).rejects.toThrow(/is taken/);
});
