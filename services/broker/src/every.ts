import type { Clock, Log } from "@mayfly/spec";

/** Runs `pass` every `intervalMs` until `signal` is aborted; a failure is logged, then goes on. */
export async function every(
  intervalMs: number,
  ports: { readonly clock: Clock; readonly log: Log },
  signal: AbortSignal,
  pass: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await ports.clock.sleep(intervalMs, signal);
      await pass();
    } catch (error) {
      if (!signal.aborted) ports.log.error("periodic work failed", {}, error);
    }
  }
}
