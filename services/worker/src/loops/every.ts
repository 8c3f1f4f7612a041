import type {
  CallContext,
  Clock,
  JsonObject,
  Log,
  Random,
  SpanAttributes,
  Tracer,
} from "@mayfly/spec";
import type { LoopWatch } from "./loop-watch.ts";

export interface Loop {
  readonly name: string;
  /** What the log says of it besides its name: the backend of a listing. */
  readonly fields: JsonObject;
  /** What its traces say of it, likewise. */
  readonly attributes: SpanAttributes;
  readonly intervalMs: number;
  /** Whether each pass is a trace: not where most of them find nothing to do, many a minute. */
  readonly traced: boolean;
  /** Whether the process is as good as dead without it; not those that come and go. */
  readonly isVital: boolean;
  /** One bounded pass. Its failure is logged, and the next pass comes all the same. */
  pass(call: CallContext): Promise<void>;
}

export interface LoopPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tracer: Tracer;
  /** Absent where nobody asks. */
  readonly watch?: LoopWatch;
}

/** Of an interval: what a loop rests at least, however long its pass took. */
const REST_MIN = 0.1;
/** Of an interval: a pass that failed is tried again before what it does counts as late. */
const RETRY = 0.5;

/**
 * Runs a loop until `signal` is aborted: a pass at once, and then one every interval ± 10 % (so
 * that many workers do not sweep in step), counted from start to start, so that a slow pass does
 * not put off the next. Resolves when the last pass has ended.
 *
 * A pass that takes longer than ten intervals, and at least 60 s, is aborted and waited for no
 * more: a loop that hangs would be a lost sweep.
 */
export async function runEvery(loop: Loop, ports: LoopPorts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const startedMs = ports.clock.monotonicMs();
    if (loop.isVital) ports.watch?.turned(loop.name, passMsMaxOf(loop) + 2 * loop.intervalMs);
    const succeeded = await runOnce(loop, ports, signal);
    const everyMs = loop.intervalMs * jitter(ports.random) * (succeeded ? 1 : RETRY);
    const tookMs = ports.clock.monotonicMs() - startedMs;
    await pause(Math.max(everyMs - tookMs, loop.intervalMs * REST_MIN), ports, signal);
  }
}

const passMsMaxOf = ({ intervalMs }: Loop): number => Math.max(60_000, intervalMs * 10);
/** One for all: what `abort()` would make for each pass is dear, and nobody sees it. */
const DONE = new Error("the pass has ended");

async function runOnce(loop: Loop, ports: LoopPorts, signal: AbortSignal): Promise<boolean> {
  const { clock, log, random } = ports;
  const traceId = Buffer.from(random.bytes(16)).toString("hex");
  // By hand: `AbortSignal.any` is dear, and idle loops do little else.
  const given = new AbortController();
  const done = new AbortController();
  const stop = (): void => given.abort(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  const tooLate = async (): Promise<never> => {
    const passMsMax = passMsMaxOf(loop);
    await clock.sleep(passMsMax, done.signal);
    const error = new Error(`a pass took longer than ${passMsMax} ms`);
    given.abort(error);
    throw error;
  };
  const call: CallContext = { clock, signal: given.signal, traceId };
  try {
    await Promise.race([tracedPass(loop, ports, call), tooLate()]);
    return true;
  } catch (error) {
    if (!signal.aborted)
      log.error("loop pass failed", { loop: loop.name, ...loop.fields, trace: traceId }, error);
    return false;
  } finally {
    signal.removeEventListener("abort", stop);
    done.abort(DONE);
  }
}

function tracedPass(loop: Loop, { tracer }: LoopPorts, call: CallContext): Promise<void> {
  if (!loop.traced) return loop.pass(call);
  const { traceId } = call;
  const start = { name: loop.name, kind: "internal", traceId, parent: null } as const;
  return tracer.trace({ ...start, attributes: loop.attributes }, () => loop.pass(call));
}

const jitter = (random: Random): number => 0.9 + (0.2 * (random.bytes(1)[0] ?? 128)) / 255;

async function pause(ms: number, ports: LoopPorts, signal: AbortSignal): Promise<void> {
  try {
    await ports.clock.sleep(ms, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
