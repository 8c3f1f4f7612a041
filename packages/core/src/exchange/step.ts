import type { SpanAttributes, TraceStep } from "@mayfly/spec";

/** A step of the exchange, as its trace names it. */
export const step = (name: string, attributes: SpanAttributes = {}): TraceStep => ({
  name,
  kind: "internal",
  attributes,
});
