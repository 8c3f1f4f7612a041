import { BrokerError, type Clock, type SpanAttributes, type Tracer } from "@mayfly/spec";
import type { Metrics } from "@mayfly/telemetry";

/** With what calls are watched. */
export interface Observing {
  readonly metrics: Metrics;
  readonly tracer: Tracer;
  readonly clock: Clock;
}

/** `ok`, or the error's code: from a fixed set, unlike its text. */
export type CallOutcome = string;
export const OK = "ok";

export const codeOf = (error: unknown): string => (BrokerError.is(error) ? error.code : "internal");

/** Runs a call inside a span, and tells how long it took and what came of it. */
export async function watch<T>(
  { tracer, clock }: Pick<Observing, "tracer" | "clock">,
  step: {
    readonly name: string;
    readonly kind: "internal" | "client";
    readonly attributes: SpanAttributes;
  },
  call: () => Promise<T>,
  took: (seconds: number, outcome: CallOutcome) => void,
): Promise<T> {
  const startedMs = clock.monotonicMs();
  const secondsNow = (): number => (clock.monotonicMs() - startedMs) / 1000;
  try {
    const result = await tracer.span(step, () => call());
    took(secondsNow(), OK);
    return result;
  } catch (error) {
    took(secondsNow(), codeOf(error));
    throw error;
  }
}

/**
 * `target` with each of its methods called through `around`. The names are those of a port, so
 * there are few of them. For ports of which every method is asynchronous.
 */
export function watchMethods<T extends object>(
  target: T,
  around: (method: string, call: () => Promise<unknown>) => Promise<unknown>,
): T {
  return new Proxy(target, {
    get: (object, key, receiver) => {
      const member: unknown = Reflect.get(object, key, receiver);
      if (typeof member !== "function" || typeof key !== "string") return member;
      return (...given: unknown[]) =>
        around(key, async (): Promise<unknown> => {
          const result: unknown = await Reflect.apply(member, object, given);
          return result;
        });
    },
  });
}
