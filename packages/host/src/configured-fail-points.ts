import { BrokerError, FAIL_POINTS, type FailPoint, type FailPoints } from "@mayfly/spec";

/**
 * `SIGKILL` is the crash that no code of ours sees. `SIGSTOP` is the pause that looks like one to
 * everybody else, until somebody sends `SIGCONT`.
 */
const SIGNALS = { kill: "SIGKILL", stop: "SIGSTOP" } as const;
type Blow = keyof typeof SIGNALS;

interface Trap {
  readonly blow: Blow;
  /** 1 for the first time that the point is reached. */
  readonly atVisit: number;
  /** Those before wait at the point for that visit, so that all are struck there at once. */
  readonly gathers: boolean;
}

const TRAP = /^([a-z_]+\.[a-z]+)=(kill|stop)(?:([@*])([1-9][0-9]{0,5}))?$/;

/** How the blow is dealt. Replaced in unit tests alone. */
export type SendSignal = (signal: (typeof SIGNALS)[Blow]) => void;

/**
 * Fail points as a test sets them: `<point>=kill|stop[@n|*n]`, several with commas between, for
 * instance `issue.after=kill,activate.after=stop@2`. At the n-th visit (1 if not said) the process
 * kills or freezes itself; a point is struck once. With `*n` the visits before wait there for the
 * n-th, so that n pieces of work are between the same two steps when it strikes.
 *
 * Throws `config_invalid` at anything else: a misspelt point would be a test that tests nothing.
 */
export function configuredFailPoints(
  setting: string,
  sendSignal: SendSignal = signalOwnProcess,
): FailPoints {
  const traps = parseTraps(setting);
  const visits = new Map<FailPoint, number>();
  const gathered = new Map<FailPoint, PromiseWithResolvers<undefined>>();
  return {
    reached: async (point) => {
      const visit = (visits.get(point) ?? 0) + 1;
      visits.set(point, visit);
      const trap = traps.get(point);
      if (trap === undefined || visit > trap.atVisit) return;
      if (visit === trap.atVisit) {
        sendSignal(SIGNALS[trap.blow]);
        gathered.get(point)?.resolve(undefined);
      } else if (trap.gathers) {
        const others = gathered.get(point) ?? Promise.withResolvers<undefined>();
        gathered.set(point, others);
        await others.promise;
      }
    },
  };
}

function parseTraps(setting: string): ReadonlyMap<FailPoint, Trap> {
  const traps = new Map<FailPoint, Trap>();
  for (const text of setting.split(",")) {
    const match = TRAP.exec(text.trim());
    const point = FAIL_POINTS.find((known) => known === match?.[1]);
    const blow = match?.[2];
    if (point === undefined || (blow !== "kill" && blow !== "stop")) {
      throw new BrokerError(
        "config_invalid",
        `fail points: cannot read "${text}"; expected <point>=kill|stop[@n|*n] with a point of ` +
          FAIL_POINTS.join(", "),
      );
    }
    if (traps.has(point)) {
      throw new BrokerError("config_invalid", `fail points: ${point} is set twice; set it once`);
    }
    traps.set(point, {
      blow,
      atVisit: Number(match?.[4] ?? "1"),
      gathers: match?.[3] === "*",
    });
  }
  return traps;
}

/** How long the caller's thread stands still so that the signal lands before its next line runs. */
const LANDING_MS = 200;

function signalOwnProcess(signal: NodeJS.Signals): void {
  process.kill(process.pid, signal);
  // With several threads the kernel may deliver to another one first (POSIX kill): this thread
  // must not run on meanwhile. The wait blocks it, and with it all code of ours.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LANDING_MS);
}
