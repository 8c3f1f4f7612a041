import type { Core } from "@mayfly/core";
import type { AlarmListener, BackendId, CallContext, LogSequencer } from "@mayfly/spec";
import { runEvery, type Loop, type LoopPorts } from "./loops/every.ts";
import { runListings } from "./loops/listings.ts";

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
const POLICY_USE_INTERVAL_MS = 1_000;
const POLICY_USE_BATCH = 5_000;

/**
 * Ends leases: the alarms make it timely, the sweep makes it certain. Every loop is on its own, so
 * that one that hangs delays no other. It sweeps and lists at once: until it has, a broker on a
 * fresh ledger, or after a pause of all workers, issues nothing.
 */
export async function startWorker(ports: WorkerPorts): Promise<RunningWorker> {
  const stop = new AbortController();
  const loops = loopsOf(ports).map((loop) => runEvery(loop, ports, stop.signal));
  const running = Promise.all([...loops, runListings(ports, stop.signal)]);
  const close = async (): Promise<void> => {
    stop.abort(new Error("the worker is stopping"));
    await ports.listener.close();
    await running;
  };
  try {
    await ports.listener.listen(
      (backendId) => wake(ports, backendId, stop.signal),
      () => ports.core.dueBackends(),
    );
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

async function wake(ports: WorkerPorts, backendId: BackendId, signal: AbortSignal): Promise<void> {
  const call: CallContext = {
    clock: ports.clock,
    signal,
    traceId: Buffer.from(ports.random.bytes(16)).toString("hex"),
  };
  const { traceId } = call;
  const attributes = { "mayfly.backend.id": backendId };
  const start = { name: "wake-up", kind: "internal", traceId, parent: null, attributes } as const;
  await ports.tracer.trace(start, async () => {
    await ports.core.runPass(backendId, call);
  });
}

function loopsOf(ports: WorkerPorts): readonly Loop[] {
  const { core, settings } = ports;
  return [
    {
      name: "sweep",
      fields: {},
      attributes: {},
      traced: true,
      isVital: true,
      intervalMs: settings.sweepIntervalSeconds * 1000,
      pass: async (call) => {
        await core.sweep(call);
      },
    },
    {
      name: "sequencer",
      fields: {},
      attributes: {},
      traced: false,
      isVital: true,
      intervalMs: SEQUENCER_INTERVAL_MS,
      pass: () => appendAll(ports.sequencer),
    },
    {
      name: "policy use",
      fields: {},
      attributes: {},
      traced: false,
      isVital: true,
      intervalMs: POLICY_USE_INTERVAL_MS,
      pass: () => countAll(ports.sequencer),
    },
  ];
}

/** Appends until nothing is left, at most a hundred batches in one pass. */
async function appendAll(sequencer: LogSequencer): Promise<void> {
  for (let batch = 0; batch < 100; batch += 1) {
    if ((await sequencer.append(SEQUENCER_BATCH)) < SEQUENCER_BATCH) return;
  }
}

/** Counts the use of policies until all of the log is counted, at most a hundred batches. */
async function countAll(sequencer: LogSequencer): Promise<void> {
  for (let batch = 0; batch < 100; batch += 1) {
    if ((await sequencer.countPolicyUse(POLICY_USE_BATCH)) < POLICY_USE_BATCH) return;
  }
}
