import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { NO_MORE_INPUTS, type WatchedInput } from "./endless-input.ts";

const LOOK_MS = 100;

const { numbers, text, what, cpuMsMax } = workerData as WatchedInput;

/** Of the whole process: this thread's own looks are a small part of it. */
function spentMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

let seen: number | null = null;
let since = 0;
let isEndless = false;
while (!isEndless) {
  const now = Atomics.load(numbers, 0);
  if (now === NO_MORE_INPUTS) break;
  if (now !== seen) {
    seen = now;
    since = spentMs();
  } else isEndless = spentMs() - since > cpuMsMax;
  Atomics.wait(numbers, 0, now, LOOK_MS);
}
if (isEndless) {
  const input = Buffer.from(text.slice(0, Atomics.load(numbers, 1))).toString("utf16le");
  writeSync(2, `FOUND: ${what}: input ${seen} does not end: ${JSON.stringify(input)}\n`);
  process.kill(process.pid, "SIGKILL");
}
