/** What a process gets from its machine: time, randomness, a log, and the points to fail at. */
export { configuredFailPoints, type SendSignal } from "./configured-fail-points.ts";
export { describeError } from "./describe-error.ts";
export { inertFailPoints } from "./inert-fail-points.ts";
export { createJsonLog, LOG_LEVELS, type JsonLogOptions, type LogLevel } from "./json-log.ts";
export { linesByTurn, type LineStream } from "./lines-by-turn.ts";
export { systemClock } from "./system-clock.ts";
export { systemRandom } from "./system-random.ts";
export { createTraceScope, scopedTracer, type TraceScope } from "./trace-scope.ts";
