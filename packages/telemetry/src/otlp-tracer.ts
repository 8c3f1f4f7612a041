import { AsyncLocalStorage } from "node:async_hooks";
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  RandomIdGenerator,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type IdGenerator,
  type SpanExporter,
} from "@opentelemetry/sdk-trace";
import { BrokerError, type Clock, type Log, type Span, type Tracer } from "@mayfly/spec";

export interface OtlpOptions {
  /** The whole URL, `/v1/traces` included. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Share of traces recorded where a caller's own says nothing, 0 to 1. */
  readonly ratio: number;
  /** `service.name` and others, by OpenTelemetry's conventions. */
  readonly resource: Readonly<Record<string, string>>;
  /** Makes the log bear the trace id. */
  readonly scope: { run<T>(traceId: string, work: () => T): T };
  readonly clock: Clock;
  readonly log: Log;
}

export interface OtlpTracer extends Tracer {
  /** Sends what waits, for a second at most. */
  close(): Promise<void>;
}

/** Spans that wait; one more is dropped. Some 1 KB each. */
const QUEUE_MAX = 2048;
const BATCH_MAX = 512;
const SEND_EVERY_MS = 2_000;
const SEND_MS_MAX = 5_000;
const REQUESTS_MAX = 2;
const ATTRIBUTES_MAX = 32;
const TEXT_LENGTH_MAX = 256;
const CLOSE_MS_MAX = 1_000;
/** Of the complaint that the collector takes nothing. */
const COMPLAIN_EVERY_MS = 60_000;

/**
 * Spans over OTLP/HTTP in protobuf. Nobody waits for the collector: spans queue up to a bound, and
 * what does not fit, or is not taken in time, is gone.
 */
export function createOtlpTracer(options: OtlpOptions): OtlpTracer {
  const ids = new GivenTraceIds();
  const processor = new BatchSpanProcessor({
    exporter: complaining(otlpExporter(options), options),
    maxQueueSize: QUEUE_MAX,
    maxExportBatchSize: BATCH_MAX,
    scheduledDelayMillis: SEND_EVERY_MS,
    exportTimeoutMillis: SEND_MS_MAX,
  });
  const provider = new TracerProvider({
    idGenerator: ids,
    resource: resourceFromAttributes({ ...options.resource }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.ratio) }),
    spanLimits: {
      attributeCountLimit: ATTRIBUTES_MAX,
      attributeValueLengthLimit: TEXT_LENGTH_MAX,
    },
    spanProcessors: [processor],
  });
  return {
    ...tracerOver(provider.getTracer("mayfly"), ids, options),
    close: async () => {
      const done = new AbortController();
      const late = options.clock.sleep(CLOSE_MS_MAX, done.signal).catch(() => undefined);
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      done.abort();
    },
  };
}

const otlpExporter = ({ url, headers }: OtlpOptions): OTLPTraceExporter =>
  new OTLPTraceExporter({
    url,
    headers: { ...headers },
    timeoutMillis: SEND_MS_MAX,
    concurrencyLimit: REQUESTS_MAX,
  });

/** A trace's id is the request's, which is on the way back to its caller already. */
class GivenTraceIds implements IdGenerator {
  readonly #random = new RandomIdGenerator();
  #next: string | null = null;

  generateTraceId(): string {
    const given = this.#next;
    this.#next = null;
    return given ?? this.#random.generateTraceId();
  }

  generateSpanId(): string {
    return this.#random.generateSpanId();
  }

  startWith(traceId: string, start: () => OtelSpan): OtelSpan {
    this.#next = traceId;
    try {
      return start();
    } finally {
      this.#next = null;
    }
  }
}

function tracerOver(tracer: OtelTracer, ids: GivenTraceIds, { scope }: OtlpOptions): Tracer {
  const current = new AsyncLocalStorage<Context>();
  const inside = async <T>(
    span: OtelSpan,
    parent: Context,
    work: (span: Span) => Promise<T>,
  ): Promise<T> => {
    try {
      return await current.run(trace.setSpan(parent, span), () => work(ourSpan(span)));
    } catch (error) {
      fail(span, BrokerError.is(error) ? error.code : "internal");
      throw error;
    } finally {
      span.end();
    }
  };
  return {
    trace: ({ name, kind, traceId, parent, attributes }, work) => {
      const context = parent === null ? ROOT_CONTEXT : contextOf(parent);
      const spanKind = kind === "server" ? SpanKind.SERVER : SpanKind.INTERNAL;
      const span = ids.startWith(traceId, () =>
        tracer.startSpan(name, { kind: spanKind, attributes: { ...attributes } }, context),
      );
      return scope.run(traceId, () => inside(span, context, work));
    },
    span: ({ name, kind, attributes }, work) => {
      const context = current.getStore();
      // Outside all traces: the sequencer, four times a second.
      if (context === undefined) return work(ourSpan(null));
      const spanKind = kind === "client" ? SpanKind.CLIENT : SpanKind.INTERNAL;
      const options = { kind: spanKind, attributes: { ...attributes } };
      return inside(tracer.startSpan(name, options, context), context, work);
    },
    spanSync: ({ name, attributes }, work) => {
      const context = current.getStore();
      if (context === undefined) return work();
      const span = tracer.startSpan(name, { attributes: { ...attributes } }, context);
      try {
        return current.run(trace.setSpan(context, span), work);
      } catch (error) {
        fail(span, BrokerError.is(error) ? error.code : "internal");
        throw error;
      } finally {
        span.end();
      }
    },
  };
}

const contextOf = (parent: { traceId: string; spanId: string; sampled: boolean }): Context =>
  trace.setSpanContext(ROOT_CONTEXT, {
    traceId: parent.traceId,
    spanId: parent.spanId,
    traceFlags: parent.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    isRemote: true,
  });

const ourSpan = (span: OtelSpan | null): Span => ({
  set: (attributes) => {
    span?.setAttributes({ ...attributes });
  },
  fail: (code) => {
    if (span !== null) fail(span, code);
  },
});

/** The code alone: an error's text may hold what no collector should have. */
function fail(span: OtelSpan, code: string): void {
  span.setAttribute("error.type", code);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

function complaining(
  exporter: SpanExporter,
  { clock, log }: Pick<OtlpOptions, "clock" | "log">,
): SpanExporter {
  let lost = 0;
  let complainedMs: number | null = null;
  return {
    export: (spans, told) => {
      exporter.export(spans, (result) => {
        if (result.error !== undefined) {
          lost += spans.length;
          const nowMs = clock.monotonicMs();
          if (complainedMs === null || nowMs - complainedMs >= COMPLAIN_EVERY_MS) {
            // Not its text: a collector may answer with what it was sent.
            log.warn("the collector takes no spans", { lost, error_name: result.error.name });
            complainedMs = nowMs;
            lost = 0;
          }
        }
        told(result);
      });
    },
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
    shutdown: () => exporter.shutdown(),
  };
}
