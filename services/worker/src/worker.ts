import type { Core } from "@mayfly/core";
import type { AlarmListener, BackendId, CallContext, LogSequencer } from "@mayfly/spec";
import { runEvery, type Loop, type LoopPorts } from "./loops/every.ts";

export interface WorkerPorts extends LoopPorts {
  readonly core: Core;
  readonly listener: AlarmListener;
  readonly sequencer: LogSequencer;
  readonly settings: {
    readonly sweepIntervalSeconds: number;
    readonly listingIntervalSeconds: number;
  };
}

export interface RunningWorker {
  /** Stops taking work, lets running passes end within their bound, then returns. */
  close(): Promise<void>;
}

const SEQUENCER_INTERVAL_MS = 250;
const SEQUENCER_BATCH = 1_000;

/**
 * Ends leases: the alarms make it timely, the sweep makes it certain. Every loop is on its own, so
 * that one that hangs delays no other.
 */
export async function startWorker(ports: WorkerPorts): Promise<RunningWorker> {
  const stop = new AbortController();
  const running = loopsOf(ports).map((loop) => runEvery(loop, ports, stop.signal));
  await ports.listener.listen((backendId) => wake(ports, backendId, stop.signal));
  return {
    close: async () => {
      stop.abort(new Error("the worker is stopping"));
      await ports.listener.close();
      await Promise.all(running);
    },
  };
}

async function wake(ports: WorkerPorts, backendId: BackendId, signal: AbortSignal): Promise<void> {
  const call: CallContext = {
    clock: ports.clock,
    signal,
    traceId: Buffer.from(ports.random.bytes(16)).toString("hex"),
  };
  await ports.core.runPass(backendId, call);
}

function loopsOf(ports: WorkerPorts): readonly Loop[] {
  const { core, settings } = ports;
  return [
    {
      name: "sweep",
      intervalMs: settings.sweepIntervalSeconds * 1000,
      pass: async (call) => {
        await core.sweep(call);
      },
    },
    {
      name: "listing",
      intervalMs: settings.listingIntervalSeconds * 1000,
      pass: (call) => listAll(ports, call),
    },
    {
      name: "sequencer",
      intervalMs: SEQUENCER_INTERVAL_MS,
      pass: () => appendAll(ports.sequencer),
    },
  ];
}

/** Lists every backend at once: one that hangs must not delay the listing of another. */
async function listAll(ports: WorkerPorts, call: CallContext): Promise<void> {
  const { backends } = await ports.core.catalogView();
  const listings = await Promise.allSettled(
    backends.map((backend) => ports.core.listOrphans(backend.id, call)),
  );
  for (const [index, listing] of listings.entries()) {
    if (listing.status === "rejected" && !call.signal.aborted) {
      const backend = backends[index]?.id ?? "";
      ports.log.warn("listing failed", { backend, trace: call.traceId }, listing.reason);
    }
  }
}

/** Appends until nothing is left, at most a hundred batches in one pass. */
async function appendAll(sequencer: LogSequencer): Promise<void> {
  for (let batch = 0; batch < 100; batch += 1) {
    if ((await sequencer.append(SEQUENCER_BATCH)) < SEQUENCER_BATCH) return;
  }
}
