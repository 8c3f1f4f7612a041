import {
  BrokerError,
  parseBackendId,
  parseId,
  type Alarm,
  type BackendId,
  type Clock,
  type LeaseId,
} from "@mayfly/spec";

/** All that a job carries (Q4). `leaseId` is null in a job that wakes its backend now. */
export interface AlarmPayload {
  readonly leaseId: LeaseId | null;
  readonly backendId: BackendId;
}

/** A job as both ends understand it, before BullMQ. */
export interface AlarmJob {
  readonly name: "wake-at" | "wake-now";
  /** Unique while the job exists. Never with a colon and never a number: BullMQ refuses those. */
  readonly id: string;
  readonly payload: AlarmPayload;
  readonly delayMs: number;
  /** Jobs with the same one are one job while they wait. */
  readonly onceWhileWaiting: string | null;
}

/** Beyond this, BullMQ's packing of instant and order into one double of Redis loses precision. */
const MAX_DELAY_MS = 366 * 86_400_000;

export function jobOfAlarm(alarm: Alarm, clock: Clock): AlarmJob {
  const delayMs = Math.ceil(alarm.at - clock.now());
  if (!Number.isFinite(delayMs) || delayMs > MAX_DELAY_MS) {
    throw new BrokerError("internal", "an alarm must be at an instant within a year");
  }
  if (!Number.isSafeInteger(alarm.generation) || alarm.generation < 0) {
    throw new BrokerError("internal", "the generation of an alarm is a whole number from 0");
  }
  return {
    name: "wake-at",
    id: `${alarm.leaseId}-${alarm.generation}`,
    payload: { leaseId: alarm.leaseId, backendId: alarm.backendId },
    delayMs: Math.max(0, delayMs),
    onceWhileWaiting: null,
  };
}

/** `mark` tells this wake-up from all others, of this process and of others. */
export function jobOfWakeNow(backendId: BackendId, mark: string): AlarmJob {
  return {
    name: "wake-now",
    id: `now-${backendId}-${mark}`,
    payload: { leaseId: null, backendId },
    delayMs: 0,
    onceWhileWaiting: `now-${backendId}`,
  };
}

/** Strict: what another program put into the queue wakes nobody. Throws `invalid_input`. */
export function parsePayload(input: unknown): AlarmPayload {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new BrokerError("invalid_input", "job: expected an object");
  }
  const members: Readonly<Record<string, unknown>> = { ...input };
  const unknown = Object.keys(members).find((name) => name !== "leaseId" && name !== "backendId");
  if (unknown !== undefined || !("leaseId" in members)) {
    throw new BrokerError("invalid_input", "job: expected exactly leaseId and backendId");
  }
  const leaseId = members["leaseId"];
  return {
    leaseId: leaseId === null ? null : parseId("lease", leaseId, "job.leaseId"),
    backendId: parseBackendId(members["backendId"], "job.backendId"),
  };
}
