import type { Alarm, AlarmClock, AlarmListener, BackendId } from "@mayfly/spec";
import type { Machine, SimulatedProcess } from "./simulated-process.ts";

type Handler = (backendId: BackendId) => Promise<void>;

/** The queue of an installation: it loses, repeats, delays and so reorders what it is given. */
export interface SimulatedQueue {
  alarmClock(process: SimulatedProcess): AlarmClock;
  listener(process: SimulatedProcess): AlarmListener;
  /** FLUSHALL. */
  loseAll(): void;
}

const LATE_MS_MAX = 8_000;

export function createSimulatedQueue(machine: Machine): SimulatedQueue {
  const { clock, draw, strikes } = machine;
  const handlers = new Map<SimulatedProcess, Handler>();
  let era = 0;

  const ring = async (backendId: BackendId, afterMs: number): Promise<void> => {
    const bornIn = era;
    const isOdd = draw.chance(machine.rates.queue);
    const fate = isOdd ? draw.of(["lost", "repeated", "late"]) : "once";
    if (isOdd) strikes.add("queue.ring", fate);
    if (fate === "lost") return;
    const lateMs = fate === "late" ? draw.between(1, LATE_MS_MAX) : draw.between(0, 5);
    await clock.sleep(Math.max(0, afterMs) + lateMs);
    for (let times = fate === "repeated" ? 2 : 1; times > 0; times--) {
      const listening = [...handlers].filter(([process]) => process.isAlive);
      const [one] = listening.slice(draw.whole(0, Math.max(0, listening.length - 1)));
      if (era === bornIn && one !== undefined) one[1](backendId).catch(() => undefined);
    }
  };
  const ringAt = (alarm: Alarm): void => {
    ring(alarm.backendId, alarm.at - clock.now()).catch(() => undefined);
  };

  return {
    alarmClock: (process) => ({
      wakeAt: async (alarm) => {
        await process.pass("queue.wakeAt");
        ringAt(alarm);
      },
      wakeNow: async (backendIds) => {
        await process.pass("queue.wakeNow");
        for (const id of backendIds) ring(id, 0).catch(() => undefined);
      },
      close: async () => undefined,
    }),
    listener: (process) => ({
      listen: async (handler) => {
        handlers.set(process, handler);
        process.onDeath(() => handlers.delete(process));
      },
      hears: async () => handlers.has(process),
      close: async () => {
        handlers.delete(process);
      },
    }),
    loseAll: () => {
      era++;
    },
  };
}
