import { composeParts } from "@mayfly/composition";
import type { WorkerSettings } from "@mayfly/settings";
import { startWorker, type RunningWorker } from "./worker.ts";

/** Starts the loops that end leases. Throws `config_invalid` or `ledger_unavailable`. */
export async function startWorkerProcess(
  settings: WorkerSettings,
  logTo: { write(line: string): unknown },
): Promise<RunningWorker & { readonly stopMsMax: number }> {
  const parts = await composeParts(settings, { name: "worker", logTo });
  try {
    const { clock, log, random, tracer, core, ledger } = parts;
    const worker = await startWorker({
      clock,
      log,
      random,
      tracer,
      core,
      listener: parts.listenToAlarms(),
      sequencer: ledger.sequencer,
      settings,
    });
    log.info("worker runs", {});
    return {
      stopMsMax: settings.stopSeconds * 1000,
      close: async () => {
        await worker.close();
        await parts.close();
      },
    };
  } catch (error) {
    await parts.close();
    throw error;
  }
}
