import { setTimeout as sleep } from "node:timers/promises";

/** Asks every 25 ms until it is so; throws with what was waited for after `msMax`. */
export async function until(
  isSo: () => Promise<boolean>,
  msMax: number,
  what: string,
): Promise<void> {
  const from = performance.now();
  while (!(await isSo())) {
    if (performance.now() - from > msMax) throw new Error(`waited ${msMax} ms in vain for ${what}`);
    await sleep(25);
  }
}
