import type { AlarmClock, AlarmListener, OutboundHttp } from "@mayfly/spec";
import { OK, watch, type Observing } from "./observe.ts";
import { overriding } from "./observed-ledger.ts";

/** The broker's end of the queue: what it took, and what it did not. */
export function observedAlarm(alarm: AlarmClock, observing: Observing): AlarmClock {
  const wake = (kind: "at" | "now", call: () => Promise<void>): Promise<void> => {
    const attributes = { "messaging.system": "bullmq", "messaging.operation.name": kind };
    return watch(
      observing,
      { name: `queue.wake ${kind}`, kind: "client", attributes },
      call,
      (_, came) =>
        observing.metrics.add("mayfly_queue_wake_ups_total", {
          kind,
          outcome: came === OK ? OK : "failed",
        }),
    );
  };
  return {
    wakeAt: (alarmOf) => wake("at", () => alarm.wakeAt(alarmOf)),
    wakeNow: (backendIds) => wake("now", () => alarm.wakeNow(backendIds)),
    close: () => alarm.close(),
  };
}

export const observedListener = (
  listener: AlarmListener,
  { metrics }: Observing,
): AlarmListener => ({
  listen: (handler, due) =>
    listener.listen((backendId) => {
      metrics.add("mayfly_queue_heard_total", {});
      return handler(backendId);
    }, due),
  hears: () => listener.hears(),
  close: () => listener.close(),
});

/** Outbound HTTP; the host is of a trust root's configuration, which no collector is told. */
export const observedHttp = (http: OutboundHttp, observing: Observing): OutboundHttp =>
  overriding(http, {
    getJson: (url, options, context) =>
      watch(
        observing,
        { name: "http.get", kind: "client", attributes: { "http.request.method": "GET" } },
        () => http.getJson(url, options, context),
        (seconds, came) =>
          observing.metrics.observe(
            "mayfly_outbound_http_seconds",
            { outcome: came === OK ? OK : "failed" },
            seconds,
          ),
      ),
  });
