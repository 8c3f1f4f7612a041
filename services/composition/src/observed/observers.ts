import { UNWATCHED_LIMITS, type BreakerState, type LimitWatch } from "@mayfly/backend-kit";
import type { Core } from "@mayfly/core";
import type { Ledger } from "@mayfly/postgres";
import type { AlarmClock, AlarmListener, CredentialBackend, OutboundHttp } from "@mayfly/spec";
import type { Observing } from "./observe.ts";
import { observedBackend } from "./observed-backend.ts";
import { observedCore } from "./observed-core.ts";
import { observedLedger } from "./observed-ledger.ts";
import { observedAlarm, observedHttp, observedListener } from "./observed-queue.ts";

/** Puts what watches around each part. */
export interface Observers {
  readonly ledger: (ledger: Ledger) => Ledger;
  readonly backend: (type: CredentialBackend) => CredentialBackend;
  readonly limits: LimitWatch;
  readonly core: (core: Core) => Core;
  readonly alarm: (alarm: AlarmClock) => AlarmClock;
  readonly listener: (listener: AlarmListener) => AlarmListener;
  readonly http: (http: OutboundHttp) => OutboundHttp;
}

const asItIs = <T>(part: T): T => part;
const NOBODY: Observers = {
  ledger: asItIs,
  backend: asItIs,
  limits: UNWATCHED_LIMITS,
  core: asItIs,
  alarm: asItIs,
  listener: asItIs,
  http: asItIs,
};

/** Null: nobody watches, and every part is left as it is, at no cost. */
export const observers = (observing: Observing | null): Observers =>
  observing === null
    ? NOBODY
    : {
        ledger: (ledger) => observedLedger(ledger, observing),
        backend: (type) => observedBackend(type, observing),
        limits: observedLimits(observing),
        core: (core) => observedCore(core, observing),
        alarm: (alarm) => observedAlarm(alarm, observing),
        listener: (listener) => observedListener(listener, observing),
        http: (http) => observedHttp(http, observing),
      };

const BREAKER: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 };

const observedLimits = ({ metrics }: Observing): LimitWatch => ({
  breaker: (backend, state) => metrics.set("mayfly_backend_breaker", { backend }, BREAKER[state]),
  heldBack: (backend, reason) =>
    metrics.add("mayfly_backend_calls_held_back_total", { backend, reason }),
  drew: (backend, use, outcome) =>
    metrics.add("mayfly_backend_budget_draws_total", { backend, use, outcome }),
  paused: (backend) => metrics.add("mayfly_backend_pauses_total", { backend }),
});
