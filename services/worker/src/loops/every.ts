import type { CallContext, Clock, Log, Random } from "@mayfly/spec";

export interface Loop {
  readonly name: string;
  readonly intervalMs: number;
  /** One bounded pass. Its failure is logged, and the next pass comes all the same. */
  pass(call: CallContext): Promise<void>;
}

export interface LoopPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Runs a loop until `signal` is aborted: a pass, then a wait of the interval ± 10 % (so that many
 * workers do not sweep in step). Resolves when the last pass has ended.
 *
 * A pass that takes longer than ten intervals, and at least 60 s, is aborted: a loop that hangs
 * would be a lost sweep.
 */
export async function runEvery(loop: Loop, ports: LoopPorts, signal: AbortSignal): Promise<void> {
  const passMsMax = Math.max(60_000, loop.intervalMs * 10);
  while (!signal.aborted) {
    const traceId = Buffer.from(ports.random.bytes(16)).toString("hex");
    const call: CallContext = {
      clock: ports.clock,
      signal: AbortSignal.any([signal, AbortSignal.timeout(passMsMax)]),
      traceId,
    };
    try {
      await loop.pass(call);
    } catch (error) {
      if (!signal.aborted)
        ports.log.error("loop pass failed", { loop: loop.name, trace: traceId }, error);
    }
    await pause(loop.intervalMs, ports, signal);
  }
}

async function pause(intervalMs: number, ports: LoopPorts, signal: AbortSignal): Promise<void> {
  const jitter = 0.9 + (0.2 * (ports.random.bytes(1)[0] ?? 128)) / 255;
  try {
    await ports.clock.sleep(intervalMs * jitter, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
