import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SetUpFailure } from "./failure.mjs";

const POLL_MS = 200;

/**
 * Runs `work` while holding a lock file that names our process. A lock whose process is gone is
 * taken over, so that a killed run blocks nobody.
 *
 * @template T
 * @param {string} path
 * @param {{ waitMs: number, onWait: (pid: number) => void }} options
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(path, { waitMs, onWait }, work) {
  await mkdir(dirname(path), { recursive: true });
  const mine = `${path}.${process.pid}`;
  await writeFile(mine, String(process.pid));
  try {
    await take(path, mine, { waitMs, onWait });
    try {
      return await work();
    } finally {
      await rm(path, { force: true });
    }
  } finally {
    await rm(mine, { force: true });
  }
}

/**
 * @param {string} path
 * @param {string} mine
 * @param {{ waitMs: number, onWait: (pid: number) => void }} options
 */
async function take(path, mine, { waitMs, onWait }) {
  const until = Date.now() + waitMs;
  let told = false;
  for (;;) {
    // link(2) fails when the name exists: of two at once exactly one has the lock.
    if (await linked(mine, path)) return;
    const text = await textOf(path);
    if (text !== undefined) {
      const pid = Number.parseInt(text, 10);
      if (isAlive(pid)) {
        if (!told) onWait(pid);
        told = true;
      } else {
        await takeAway(path, mine, text);
      }
    }
    if (Date.now() > until) throw heldTooLong(path, text, waitMs);
    await sleep(text === undefined || !told ? POLL_MS / 10 : POLL_MS);
  }
}

/**
 * Whether the lock is ours now. Only "it exists" means held; anything else would be waited for in
 * vain: a file system without hard links, say.
 *
 * @param {string} mine
 * @param {string} path
 */
async function linked(mine, path) {
  try {
    await link(mine, path);
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    if (code === "EEXIST") return false;
    throw new SetUpFailure({
      what: "The lock of the set-up cannot be taken.",
      where: path,
      why: `A hard link to ${mine} cannot be made (${code}).`,
      toDo: "Use a folder on a file system that has hard links and may be written to.",
    });
  }
}

/**
 * Moves a dead process's lock aside; puts it back if it turns out to be a new holder's.
 *
 * @param {string} path
 * @param {string} mine
 * @param {string} stale what the lock said
 */
async function takeAway(path, mine, stale) {
  const aside = `${mine}.stale`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  if ((await textOf(aside)) !== stale) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
}

/**
 * @param {string} path
 * @returns {Promise<string | undefined>} what the lock says; undefined if it is no file
 */
function textOf(path) {
  return readFile(path, "utf8").catch(() => undefined);
}

/** @param {number} pid */
function isAlive(pid) {
  if (!(Number.isInteger(pid) && pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/**
 * @param {string} path
 * @param {string | undefined} text what the lock says
 * @param {number} waitMs
 */
function heldTooLong(path, text, waitMs) {
  const seconds = Math.round(waitMs / 1000);
  const pid = Number.parseInt(text ?? "", 10);
  return isAlive(pid)
    ? new SetUpFailure({
        what: "Another set-up of this folder has not ended.",
        where: path,
        why: `Process ${pid} has held the lock for more than ${seconds} s.`,
        toDo: `Wait for process ${pid}, or end it, then run this again.`,
      })
    : new SetUpFailure({
        what: "The lock of the set-up cannot be taken.",
        where: path,
        why: `What stands at its place is no lock of ours and stayed for more than ${seconds} s.`,
        toDo: "Remove it, then run this again.",
      });
}
