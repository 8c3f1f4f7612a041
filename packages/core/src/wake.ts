import type { Alarm, BackendId } from "@mayfly/spec";
import type { CoreParts } from "./core-parts.ts";

/** Asks for a pass now. Never waited for: the row is due whether or not the queue hears of it. */
export function wakeNow(parts: CoreParts, backendIds: Iterable<BackendId>): void {
  const unique = [...new Set(backendIds)];
  if (unique.length === 0) return;
  parts.background.start("wake passes", () => parts.ports.alarm.wakeNow(unique));
}

/** Asks for a pass at an instant. Never waited for. */
export function wakeAt(parts: CoreParts, alarm: Alarm): void {
  parts.background.start("set the alarm of a lease", () => parts.ports.alarm.wakeAt(alarm));
}
