import { HeldBack } from "./held-back.ts";
import type { LimitSettings } from "./limit-settings.ts";

/** In the order in which whoever waits may begin. */
const LANES = ["probe", "end", "issue"] as const;
export type Lane = (typeof LANES)[number];

/** What a call takes, beside its place, where the backend has a rate. */
export interface CallTokens {
  /** Before anything is taken. */
  attach(hooks: TokenHooks): void;
  /** One; false: there is none now, and `wake` is called when there may be. */
  take(lane: Lane): boolean;
  /** Mints wait, behind ends or for a place, and none was taken for them: they hear of a pause. */
  mintsWait(): void;
  close(): void;
}

export interface TokenHooks {
  /** How many wait as the lane does, of those for whom there is a place. */
  couldBegin(lane: Lane): number;
  /** There may be one now. */
  wake(): void;
  /** None comes: whoever waits in that lane is told. */
  refuse(lane: Lane, why: HeldBack): void;
}

interface Waiter {
  readonly start: () => void;
  readonly refuse: (why: HeldBack) => void;
}

/** Of calls that wait in one lane; more are turned away at once. */
const WAITERS_MAX = 1_000;
const CLOSED = new Error("the lanes are closed");

/**
 * Who may begin a call, by number at once and by tokens. Ends take whatever is free before issuing
 * does, and where there is more than one place, issuing never has the last: so a crowd of mints,
 * even one that hangs, delays no end by more than what is under way.
 *
 * Before both goes the probe, which is the second half of an end: behind a backlog of first halves,
 * each claim would be over before its second, and no end would ever be one.
 */
export class CallLanes {
  readonly #placesMax: number;
  readonly #tokens: CallTokens | null;
  readonly #waiting: Record<Lane, Waiter[]> = { probe: [], end: [], issue: [] };
  #under = 0;
  #issuing = 0;
  readonly #closing = new AbortController();

  /** `tokens` null: there is no rate. */
  constructor({ concurrency }: Pick<LimitSettings, "concurrency">, tokens: CallTokens | null) {
    this.#placesMax = concurrency ?? Number.POSITIVE_INFINITY;
    this.#tokens = tokens;
    tokens?.attach({
      couldBegin: (lane) => this.#couldBegin(lane),
      wake: () => this.#startNext(),
      refuse: (lane, why) => {
        for (const waiter of this.#waiting[lane].splice(0)) waiter.refuse(why);
      },
    });
  }

  /**
   * Resolves when a call of the lane may begin; whoever began it calls what it resolves to when it
   * has ended. Rejects with {@link HeldBack}.
   */
  async enter(lane: Lane, signal: AbortSignal): Promise<() => void> {
    if (this.#closing.signal.aborted) throw new HeldBack("closed");
    const waiting = this.#waiting[lane];
    if (waiting.length >= WAITERS_MAX) throw new HeldBack("queue_full");
    await new Promise<void>((resolve, reject) => {
      const waiter = {
        start: () => settle(resolve),
        refuse: (why: HeldBack) => settle(() => reject(why)),
      };
      const settle = (how: () => void): void => {
        signal.removeEventListener("abort", late);
        this.#closing.signal.removeEventListener("abort", closed);
        const place = waiting.indexOf(waiter);
        if (place >= 0) waiting.splice(place, 1);
        how();
      };
      const late = (): void => waiter.refuse(new HeldBack("deadline"));
      const closed = (): void => waiter.refuse(new HeldBack("closed"));
      signal.addEventListener("abort", late, { once: true });
      this.#closing.signal.addEventListener("abort", closed, { once: true });
      waiting.push(waiter);
      if (signal.aborted) late();
      else this.#startNext();
    });
    return () => {
      this.#count(lane, -1);
      this.#startNext();
    };
  }

  close(): void {
    this.#tokens?.close();
    this.#closing.abort(CLOSED);
  }

  #startNext(): void {
    for (;;) {
      const lane = this.#nextLane();
      if (lane === null || this.#tokens?.take(lane) === false) break;
      const waiter = this.#waiting[lane].shift();
      if (waiter === undefined) break;
      this.#count(lane, 1);
      waiter.start();
    }
    if (this.#waiting.issue.length > 0) this.#tokens?.mintsWait();
  }

  #nextLane(): Lane | null {
    if (this.#under >= this.#placesMax) return null;
    const lane = LANES.find((each) => this.#waiting[each].length > 0) ?? null;
    if (lane !== "issue") return lane;
    return this.#issuing < Math.max(1, this.#placesMax - 1) ? lane : null;
  }

  #couldBegin(lane: Lane): number {
    const { probe, end, issue } = this.#waiting;
    const waiting = lane === "issue" ? issue.length : probe.length + end.length;
    return Math.min(waiting, this.#placesMax - this.#under);
  }

  #count(lane: Lane, by: 1 | -1): void {
    this.#under += by;
    if (lane === "issue") this.#issuing += by;
  }
}
