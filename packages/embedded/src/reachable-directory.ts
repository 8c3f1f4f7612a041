import { createHash } from "node:crypto";
import { lstat, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { EmbeddedError, systemCodeOf } from "./embedded-error.ts";
import { unprivilegedUser, type OsUser } from "./os-user.ts";

/**
 * The outermost directory on the way to `directory` (itself included) that `user` may not pass
 * through, or `undefined`. Directories that do not exist yet count as passable: whoever creates
 * them decides. Judged by owner, group and mode; access lists are not looked at.
 */
export async function unreachableFor(
  user: OsUser | undefined,
  directory: string,
): Promise<string | undefined> {
  if (user === undefined) return undefined;
  const way: string[] = [];
  for (let step = resolve(directory); ; step = dirname(step)) {
    way.unshift(step);
    if (step === dirname(step)) break;
  }
  for (const step of way) {
    const passable = await mayPass(user, step);
    if (passable === undefined) return undefined;
    if (!passable) return step;
  }
  return undefined;
}

async function mayPass(user: OsUser, directory: string): Promise<boolean | undefined> {
  try {
    const { uid, gid, mode } = await stat(directory);
    if (uid === user.uid) return (mode & 0o100) !== 0;
    if (gid === user.gid) return (mode & 0o010) !== 0;
    return (mode & 0o001) !== 0;
  } catch (thrown) {
    if (systemCodeOf(thrown) === "ENOENT") return undefined;
    throw thrown;
  }
}

/** @throws EmbeddedError naming the directory that keeps `user` out. */
export async function requireReachable(user: OsUser | undefined, directory: string): Promise<void> {
  const barrier = await unreachableFor(user, directory);
  if (barrier === undefined) return;
  throw new EmbeddedError({
    what: "the data directory cannot be reached by the user that PostgreSQL runs as",
    where: directory,
    why: `user ${user?.name ?? ""} may not pass through ${barrier}`,
    remedy: `Choose another place, run: chmod o+x ${barrier}, or do not run as root.`,
  });
}

/**
 * `preferred` if a PostgreSQL started by us could keep its data there, else a directory of the
 * temporary folder that is always the same for the same `preferred`. It matters when we are root
 * and the checkout is in a folder that only root can pass through, such as /root.
 */
export async function reachableDataDir(preferred: string): Promise<string> {
  const wanted = resolve(preferred);
  const user = await unprivilegedUser(wanted);
  if ((await unreachableFor(user, dirname(wanted))) === undefined) return wanted;
  const key = createHash("sha256").update(wanted).digest("hex").slice(0, 12);
  const instead = join(tmpdir(), `mayfly-data-${key}`);
  await refuseStrangers(instead, user);
  return instead;
}

/** In the temporary folder anyone may have made a directory with a name that can be foretold. */
async function refuseStrangers(directory: string, user: OsUser | undefined): Promise<void> {
  try {
    const { uid } = await lstat(directory);
    if (uid === process.getuid?.() || uid === user?.uid) return;
  } catch (thrown) {
    if (systemCodeOf(thrown) === "ENOENT") return;
    throw thrown;
  }
  throw new EmbeddedError({
    what: "the place for the data directory is taken",
    where: directory,
    why: "it belongs to another user",
    remedy: "Look at it, and remove it; or do not run as root.",
  });
}
