import type { Core } from "@mayfly/core";
import type { AlarmListener, BackendId, CallContext, LogSequencer } from "@mayfly/spec";
import { runEvery, type Loop, type LoopPorts } from "./loops/every.ts";
import { runListings } from "./loops/listings.ts";
import { createSecondLooks } from "./second-looks.ts";

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
/** Of a pass of the sequencer that finds something, spread over its interval. */
const SEQUENCER_PARTS = 3;
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
  const again = createSecondLooks(ports.clock, stop.signal, (id) => lookAgain(ports, id, stop));
  const close = async (): Promise<void> => {
    stop.abort(new Error("the worker is stopping"));
    await ports.listener.close();
    await Promise.all([running, again.ended()]);
  };
  try {
    await ports.listener.listen(
      async (backendId) => {
        await wake(ports, backendId, stop.signal);
        again.ask(backendId);
      },
      () => ports.core.dueBackends(),
    );
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

/** Never throws. */
async function lookAgain(
  ports: WorkerPorts,
  backendId: BackendId,
  { signal }: AbortController,
): Promise<void> {
  try {
    await wake(ports, backendId, signal);
  } catch (error) {
    ports.log.error("a second look failed; the next sweep takes its rows", { backendId }, error);
  }
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
      pass: (call) => appendInParts(ports.sequencer, call),
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

/**
 * Appends what there is, and what has come a moment later: all of an interval at once would keep a
 * core from whoever shares it, and this process from its alarms, for three times as long. Where
 * nothing is, it looks once.
 */
async function appendInParts(
  sequencer: LogSequencer,
  { clock, signal }: CallContext,
): Promise<void> {
  for (let part = 0; part < SEQUENCER_PARTS; part += 1) {
    if (part > 0) await clock.sleep(SEQUENCER_INTERVAL_MS / SEQUENCER_PARTS, signal);
    if (!(await appendAll(sequencer))) return;
  }
}

/** Appends until nothing is left, at most a hundred batches; false: there was nothing. */
async function appendAll(sequencer: LogSequencer): Promise<boolean> {
  for (let batch = 0; batch < 100; batch += 1) {
    const appended = await sequencer.append(SEQUENCER_BATCH);
    if (appended < SEQUENCER_BATCH) return batch > 0 || appended > 0;
  }
  return true;
}

/** Counts the use of policies until all of the log is counted, at most a hundred batches. */
async function countAll(sequencer: LogSequencer): Promise<void> {
  for (let batch = 0; batch < 100; batch += 1) {
    if ((await sequencer.countPolicyUse(POLICY_USE_BATCH)) < POLICY_USE_BATCH) return;
  }
}
