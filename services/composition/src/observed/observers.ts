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
  readonly core: (core: Core) => Core;
  readonly alarm: (alarm: AlarmClock) => AlarmClock;
  readonly listener: (listener: AlarmListener) => AlarmListener;
  readonly http: (http: OutboundHttp) => OutboundHttp;
}

const asItIs = <T>(part: T): T => part;
const NOBODY: Observers = {
  ledger: asItIs,
  backend: asItIs,
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
        core: (core) => observedCore(core, observing),
        alarm: (alarm) => observedAlarm(alarm, observing),
        listener: (listener) => observedListener(listener, observing),
        http: (http) => observedHttp(http, observing),
      };
