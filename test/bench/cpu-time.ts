import { readdir, readFile } from "node:fs/promises";

/** Linux counts in hundredths of a second (`sysconf(_SC_CLK_TCK)`). */
const TICK_MS = 10;

interface ProcessTimes {
  readonly parent: number;
  readonly own: number;
  /** Of children that have ended and were waited for. */
  readonly reaped: number;
}

/** Fields of /proc/PID/stat, counted from after the name, which may hold anything (proc(5)). */
async function timesOf(pid: number): Promise<ProcessTimes | null> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  if (text === null) return null;
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const at = (index: number): number => Number(fields[index]);
  return { parent: at(1), own: at(11) + at(12), reaped: at(13) + at(14) };
}

/**
 * CPU time, user and system, in milliseconds, of these processes, of all their descendants that
 * live, and of those that have ended.
 */
export async function cpuMs(roots: readonly number[]): Promise<number> {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => Number.isInteger(pid));
  const all = new Map<number, ProcessTimes>();
  for (const pid of pids) {
    const times = await timesOf(pid);
    if (times !== null) all.set(pid, times);
  }
  const isWithin = (pid: number): boolean => {
    const seen = new Set<number>();
    for (let here = pid; !seen.has(here); here = all.get(here)?.parent ?? 0) {
      if (roots.includes(here)) return true;
      seen.add(here);
    }
    return false;
  };
  let ticks = 0;
  for (const [pid, { own, reaped }] of all) if (isWithin(pid)) ticks += own + reaped;
  return ticks * TICK_MS;
}
