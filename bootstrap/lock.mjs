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
    const taken = await link(mine, path).then(
      () => true,
      () => false,
    );
    if (taken) return;
    const pid = await holderOf(path);
    if (pid === undefined) continue;
    if (!isAlive(pid)) {
      await takeAway(path, mine, pid);
      continue;
    }
    if (!told) onWait(pid);
    told = true;
    if (Date.now() > until) throw heldTooLong(path, pid, waitMs);
    await sleep(POLL_MS);
  }
}

/**
 * Moves a dead process's lock aside; puts it back if it turns out to be a new holder's.
 *
 * @param {string} path
 * @param {string} mine
 * @param {number} deadPid
 */
async function takeAway(path, mine, deadPid) {
  const aside = `${mine}.stale`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  if ((await holderOf(aside)) !== deadPid) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
}

/**
 * @param {string} path
 * @returns {Promise<number | undefined>}
 */
async function holderOf(path) {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

/** @param {number} pid */
function isAlive(pid) {
  if (!Number.isInteger(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/**
 * @param {string} path
 * @param {number} pid
 * @param {number} waitMs
 */
function heldTooLong(path, pid, waitMs) {
  return new SetUpFailure({
    what: "Another set-up of this folder has not ended.",
    where: path,
    why: `Process ${pid} has held the lock for more than ${Math.round(waitMs / 1000)} s.`,
    toDo: `Wait for process ${pid}, or end it, then run this again.`,
  });
}
