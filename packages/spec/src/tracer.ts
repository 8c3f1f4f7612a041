/**
 * A span that a caller of ours has open: W3C Trace Context, `traceparent` of level 1. Both ids are
 * lowercase hex, of 32 and 16 digits, and never all zero.
 */
export interface RemoteSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Whether the caller records it. */
  readonly sampled: boolean;
}

/** `<area>.<step>` from a fixed set: never a stranger's text. */
export type SpanName = string;

/** Ids, names and counts by OpenTelemetry's conventions; never a secret, a token or a setting. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

export interface Span {
  set(attributes: SpanAttributes): void;
  /** That it failed, and by which code: an error's text may hold what no collector should. */
  fail(code: string): void;
}

export interface TraceStart {
  readonly name: SpanName;
  /** `server`: a request came in. `internal`: a loop of ours, or a wake-up. */
  readonly kind: "server" | "internal";
  /** 32 lowercase hex digits; of `parent` where there is one. */
  readonly traceId: string;
  readonly parent: RemoteSpan | null;
  readonly attributes: SpanAttributes;
}

export interface TraceStep {
  readonly name: SpanName;
  /** `client`: a call that leaves this process. */
  readonly kind: "internal" | "client";
  readonly attributes: SpanAttributes;
}

/**
 * Where the time of a request or of a pass goes.
 *
 * T1. What runs inside `work`, whatever it awaits, is inside the span, and its log lines bear the
 * trace id. T2. Answers and throws what `work` does; a throw marks the span failed by its code.
 * T3. Never fails, waits or grows for the sake of a collector.
 */
export interface Tracer {
  /** Begins a trace of its own, wherever it is called from. */
  trace<T>(start: TraceStart, work: (span: Span) => Promise<T>): Promise<T>;
  /** A step of what is under way; outside all traces nothing is recorded. */
  span<T>(step: TraceStep, work: (span: Span) => Promise<T>): Promise<T>;
  /** Likewise, of a step that waits for nobody. */
  spanSync<T>(step: TraceStep, work: () => T): T;
}

const UNSEEN: Span = { set: () => undefined, fail: () => undefined };

/** Records nothing. */
export const untraced: Tracer = {
  trace: (_start, work) => work(UNSEEN),
  span: (_step, work) => work(UNSEEN),
  spanSync: (_step, work) => work(),
};
