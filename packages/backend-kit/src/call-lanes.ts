import type { Clock } from "@mayfly/spec";
import type { LimitSettings } from "./limit-settings.ts";

/** In the order in which whoever waits may begin. */
const LANES = ["probe", "end", "issue"] as const;
export type Lane = (typeof LANES)[number];

interface Waiter {
  readonly start: () => void;
}

/** Of calls that wait in one lane; more are turned away at once. */
const WAITERS_MAX = 1_000;
const CLOSED = new Error("the lanes are closed");

/** Why a call was not begun. */
export class HeldBack extends Error {
  override readonly name = "HeldBack";
  readonly reason: "queue_full" | "deadline" | "closed";
  constructor(reason: HeldBack["reason"]) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * Who may begin a call, by number at once and by a token bucket. Ends take whatever is free before
 * issuing does, and where there is more than one place, issuing never has the last: so a crowd of
 * mints, even one that hangs, delays no end by more than what is under way.
 *
 * Before both goes the probe, which is the second half of an end: behind a backlog of first halves,
 * each claim would be over before its second, and no end would ever be one.
 */
export class CallLanes {
  readonly #clock: Clock;
  readonly #placesMax: number;
  readonly #perMs: number;
  readonly #burst: number;
  readonly #waiting: Record<Lane, Waiter[]> = { probe: [], end: [], issue: [] };
  #under = 0;
  #issuing = 0;
  readonly #closing = new AbortController();
  #tokens: number;
  #filledAtMs: number;
  #timer = false;

  constructor(clock: Clock, limits: Pick<LimitSettings, "concurrency" | "per_second" | "burst">) {
    this.#clock = clock;
    this.#placesMax = limits.concurrency ?? Number.POSITIVE_INFINITY;
    const perSecond = limits.per_second ?? Number.POSITIVE_INFINITY;
    this.#perMs = perSecond / 1000;
    this.#burst = limits.burst ?? Math.max(2, Math.ceil(perSecond));
    this.#tokens = this.#burst;
    this.#filledAtMs = clock.monotonicMs();
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
      const waiter = { start: () => settle(resolve) };
      const settle = (how: () => void): void => {
        signal.removeEventListener("abort", late);
        this.#closing.signal.removeEventListener("abort", closed);
        const place = waiting.indexOf(waiter);
        if (place >= 0) waiting.splice(place, 1);
        how();
      };
      const late = (): void => settle(() => reject(new HeldBack("deadline")));
      const closed = (): void => settle(() => reject(new HeldBack("closed")));
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
    this.#closing.abort(CLOSED);
  }

  #startNext(): void {
    this.#fill();
    for (;;) {
      const lane = this.#nextLane();
      if (lane === null) return;
      if (this.#tokens < 1) return this.#wakeForToken();
      const waiter = this.#waiting[lane].shift();
      if (waiter === undefined) return;
      this.#tokens -= 1;
      this.#count(lane, 1);
      waiter.start();
    }
  }

  #nextLane(): Lane | null {
    if (this.#under >= this.#placesMax) return null;
    const lane = LANES.find((each) => this.#waiting[each].length > 0) ?? null;
    if (lane !== "issue") return lane;
    return this.#issuing < Math.max(1, this.#placesMax - 1) ? lane : null;
  }

  #count(lane: Lane, by: 1 | -1): void {
    this.#under += by;
    if (lane === "issue") this.#issuing += by;
  }

  #fill(): void {
    const now = this.#clock.monotonicMs();
    const filled = this.#tokens + (now - this.#filledAtMs) * this.#perMs;
    // Without a rate, nothing in no time would be no number.
    this.#tokens = this.#perMs === Number.POSITIVE_INFINITY ? this.#burst : filled;
    this.#tokens = Math.min(this.#burst, this.#tokens);
    this.#filledAtMs = now;
  }

  #wakeForToken(): void {
    if (this.#timer) return;
    this.#timer = true;
    const ms = Math.ceil((1 - this.#tokens) / this.#perMs);
    this.#clock.sleep(ms, this.#closing.signal).then(
      () => {
        this.#timer = false;
        this.#startNext();
      },
      () => {
        this.#timer = false;
      },
    );
  }
}
