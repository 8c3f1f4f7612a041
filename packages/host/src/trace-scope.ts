import { AsyncLocalStorage } from "node:async_hooks";
import { untraced, type Tracer } from "@mayfly/spec";

/** Which trace the running code belongs to, across whatever it awaits. */
export interface TraceScope {
  run<T>(traceId: string, work: () => T): T;
  /** Null outside all traces. */
  current(): string | null;
}

export function createTraceScope(): TraceScope {
  const storage = new AsyncLocalStorage<string>();
  return {
    run: (traceId, work) => storage.run(traceId, work),
    current: () => storage.getStore() ?? null,
  };
}

/** Traces that only the log shows: no span is recorded. */
export const scopedTracer = (scope: TraceScope): Tracer => ({
  trace: (start, work) => scope.run(start.traceId, () => untraced.trace(start, work)),
  span: (step, work) => untraced.span(step, work),
  spanSync: (step, work) => untraced.spanSync(step, work),
});
