import type { Clock } from "./surroundings.ts";

/** The longest delay that a timer holds; a longer one fires at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** The machine's own time, on Node, Deno and Bun. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => sleepAll(ms, signal, true),
  rest: (ms, signal) => sleepAll(ms, signal, false),
};

async function sleepAll(ms: number, signal: AbortSignal | undefined, holds: boolean) {
  let left = Math.max(0, ms);
  do {
    const step = Math.min(left, LONGEST_TIMER_MS);
    await sleepOnce(step, signal, holds);
    left -= step;
  } while (left > 0);
}

function sleepOnce(ms: number, signal: AbortSignal | undefined, holds: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(new Error("aborted", { cause: signal?.reason }));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    if (!holds) release(timer);
    if (signal?.aborted === true) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Node and Bun have a timer object; Deno has numbers, and a function beside them. */
function release(timer: unknown): void {
  if (typeof timer === "object" && timer !== null && "unref" in timer) {
    if (typeof timer.unref === "function") Reflect.apply(timer.unref, timer, []);
    return;
  }
  const deno: unknown = Reflect.get(globalThis, "Deno");
  if (typeof deno !== "object" || deno === null || !("unrefTimer" in deno)) return;
  if (typeof deno.unrefTimer === "function") Reflect.apply(deno.unrefTimer, deno, [timer]);
}
