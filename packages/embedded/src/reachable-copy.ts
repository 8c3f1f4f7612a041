import { createHash } from "node:crypto";
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedError, systemCodeOf } from "./embedded-error.ts";
import type { OsUser } from "./os-user.ts";
import { unreachableFor } from "./reachable-directory.ts";

/**
 * `directory` if `user` can pass through it and all above it; else a copy in the temporary folder
 * that it can, made once. Root's checkouts are often in /root, where no other user may look.
 * @throws EmbeddedError when the copy's place was taken by another user.
 */
export async function reachableCopy(directory: string, user: OsUser | undefined): Promise<string> {
  if ((await unreachableFor(user, directory)) === undefined) return directory;
  const key = createHash("sha256").update(directory).digest("hex").slice(0, 12);
  const copy = join(tmpdir(), `mayfly-postgres-${key}`);
  if (await isOurs(copy)) return copy;
  const unfinished = await mkdtemp(`${copy}-`);
  await copyReadable(directory, unfinished);
  try {
    await rename(unfinished, copy);
  } catch (thrown) {
    await rm(unfinished, { recursive: true, force: true });
    const code = systemCodeOf(thrown);
    // Another process of ours was faster.
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw thrown;
    if (!(await isOurs(copy))) throw thrown;
  }
  return copy;
}

/** A folder that anyone may have made must not decide which program we run. */
async function isOurs(directory: string): Promise<boolean> {
  try {
    const found = await lstat(directory);
    if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0) {
      return true;
    }
  } catch (thrown) {
    if (systemCodeOf(thrown) === "ENOENT") return false;
    throw thrown;
  }
  throw new EmbeddedError({
    what: "the place for a copy of the PostgreSQL binaries is taken",
    where: directory,
    why: "it was not made by this user, or others may write to it",
    remedy: "Look at it, and remove it; or move the checkout to where other users may look.",
  });
}

async function copyReadable(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  await chmod(to, 0o755);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      await copyReadable(source, target);
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(source), target);
    } else {
      await copyFile(source, target);
      const executable = ((await lstat(source)).mode & 0o100) !== 0;
      await chmod(target, executable ? 0o755 : 0o644);
    }
  }
}
