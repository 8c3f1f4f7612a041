import type { CallContext, Clock } from "@mayfly/spec";
import type { Deadline } from "./endpoint.ts";

/** The caller's signal, and a bound of our own, so that no call lasts for ever. */
export const deadlineIn = (context: CallContext, ms: number): Deadline => ({
  signal: context.signal,
  byMs: context.clock.monotonicMs() + ms,
});

export const leftMs = (deadline: Deadline, clock: Clock): number =>
  deadline.byMs - clock.monotonicMs();
