import { constants } from "node:os";
import type { RunningChild } from "./run-child.ts";

/**
 * What comes from whoever supervises us, and is meant for the command. Left to Node, SIGUSR1 opens
 * its debugger: on a port of loopback that every user of the machine can reach.
 */
const FROM_OUTSIDE = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
/** A terminal sends these to the command itself too: passed on they would come twice. */
const FROM_TERMINAL = ["SIGINT", "SIGQUIT"] as const;
const BY_SIGNAL = 128;

/** The signals of this process, which none of them ends while it is watched. */
export interface PassedSignals {
  /** Aborted by a signal that comes before there is a command to pass it to. */
  readonly beforeCommand: AbortSignal;
  /** How to end because of such a signal; null where none came. */
  early(): number | null;
  passTo(child: RunningChild): void;
  stop(): void;
}

export function passSignals(hasTerminal: boolean): PassedSignals {
  const stopped = new AbortController();
  let child: RunningChild | null = null;
  let early: number | null = null;
  const listeners = [...FROM_OUTSIDE, ...FROM_TERMINAL].map((name) => {
    const isTwice = hasTerminal && FROM_TERMINAL.some((one) => one === name);
    const heed = (): void => {
      if (child !== null) {
        if (!isTwice) child.signal(name);
        return;
      }
      early ??= BY_SIGNAL + constants.signals[name];
      stopped.abort();
    };
    process.on(name, heed);
    return () => process.off(name, heed);
  });
  return {
    beforeCommand: stopped.signal,
    early: () => early,
    passTo: (started) => {
      child = started;
    },
    stop: () => {
      for (const off of listeners) off();
    },
  };
}
