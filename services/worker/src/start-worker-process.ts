import { composeParts, serveHealth } from "@mayfly/composition";
import type { WorkerSettings } from "@mayfly/settings";
import { createLoopWatch } from "./loops/loop-watch.ts";
import { createWorkerHealth } from "./worker-health.ts";
import { startWorker, type RunningWorker } from "./worker.ts";

/** Starts the loops that end leases. Throws `config_invalid` or `ledger_unavailable`. */
export async function startWorkerProcess(
  settings: WorkerSettings,
  logTo: { write(line: string): unknown },
): Promise<RunningWorker & { readonly stopMsMax: number }> {
  const parts = await composeParts(settings, { name: "worker", logTo });
  try {
    const { clock, log, random, tracer, core, ledger } = parts;
    const listener = parts.listenToAlarms();
    const watch = createLoopWatch(clock);
    const state = { isStopping: false };
    const isStopping = (): boolean => state.isStopping;
    const { sweepIntervalSeconds } = settings;
    const { healthListen } = settings;
    const health = createWorkerHealth({
      ledger,
      listener,
      watch,
      sweepIntervalSeconds,
      isStopping,
    });
    const served = healthListen === null ? null : await serveHealth(healthListen, health, parts);
    const worker = await startWorker({
      clock,
      log,
      random,
      tracer,
      core,
      watch,
      listener,
      sequencer: ledger.sequencer,
      settings,
    });
    log.info("worker runs", {});
    return {
      stopMsMax: settings.stopSeconds * 1000,
      close: async () => {
        state.isStopping = true;
        await worker.close();
        await served?.close();
        await parts.close();
      },
    };
  } catch (error) {
    await parts.close();
    throw error;
  }
}
