import { linkSignals, type BackendId, type CallContext } from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { runPass, type PassResult } from "./run-pass.ts";
import { createSlots, type Slots } from "./slots.ts";

/**
 * The passes of this process. Those of one backend share its slots; those of two share nothing, so
 * that one which hangs delays nobody else's.
 */
export interface Passes {
  /**
   * Resolves when what was due at the call has been claimed and dealt with. Aborted, it breaks off;
   * a caller that shares the pass of others stops waiting no earlier than they do.
   */
  run(backendId: BackendId, context: Pick<CallContext, "traceId" | "signal">): Promise<PassResult>;
  /** Breaks off what is under way; claims are left to run out. */
  stop(): void;
}

/** Of one backend at once: while a call hangs in one, the next still ends what is due. */
const PASSES_MAX = 4;

interface PerBackend {
  readonly slots: Slots;
  running: number;
  /** Waits for one of the running, for all who came since. */
  next: Promise<PassResult> | null;
  readonly ended: Set<() => void>;
}

export function createPasses(parts: CoreParts): Passes {
  const stopping = new AbortController();
  const backends = new Map<BackendId, PerBackend>();
  const { clock, settings } = parts.ports;

  const of = (id: BackendId): PerBackend => {
    const known = backends.get(id);
    if (known !== undefined) return known;
    const slots = createSlots(settings.passConcurrency);
    const fresh: PerBackend = { slots, running: 0, next: null, ended: new Set() };
    backends.set(id, fresh);
    return fresh;
  };
  const start = async (
    id: BackendId,
    caller: Pick<CallContext, "traceId" | "signal">,
  ): Promise<PassResult> => {
    const backend = of(id);
    backend.running++;
    try {
      using linked = linkSignals(stopping.signal, caller.signal);
      const context: CallContext = { clock, signal: linked.signal, traceId: caller.traceId };
      return await runPass(parts, id, backend.slots, context);
    } finally {
      backend.running--;
      for (const tell of backend.ended) tell();
      backend.ended.clear();
    }
  };
  const startNext = async (id: BackendId, traceId: string): Promise<PassResult> => {
    const backend = of(id);
    await new Promise<void>((resolve) => backend.ended.add(resolve));
    backend.next = null;
    return start(id, { traceId, signal: stopping.signal });
  };

  return {
    run: (id, caller) => {
      const backend = of(id);
      if (backend.running < PASSES_MAX) return start(id, caller);
      backend.next ??= startNext(id, caller.traceId);
      return backend.next;
    },
    stop: () => stopping.abort(new Error("the process is stopping")),
  };
}
