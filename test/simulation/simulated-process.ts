import { instantMs, type Clock, type InstantMs } from "@mayfly/spec";
import type { FakeClock } from "@mayfly/testkit";
import type { Draw } from "./draw.ts";
import { oftenAt } from "./places.ts";
import { NO_FAULTS, type FaultRates, type Strikes } from "./faults.ts";

/** What the processes of one history share. */
export interface Machine {
  /** True time: the ledger's and the backends'. */
  readonly clock: FakeClock;
  readonly draw: Draw;
  readonly strikes: Strikes;
  /** Replaced by none when the history calms down. */
  rates: FaultRates;
  /** The await of this history at which most goes wrong, so that rare ones are struck too. */
  readonly focus: string;
  /** Backends that nobody can reach now. */
  readonly away: Set<string>;
  /** When the last of the frozen processes goes on. */
  awakeBy: InstantMs;
}

/** How far any clock may be from the ledger's: half of what is allowed between any two. */
const SKEW_MS_MAX = 450;
const SLOW_MS_MAX = 4_000;
const FREEZE_MS_MAX = 30_000;
/** A new one each time: who waits for a promise that is kept would be kept with it. */
const never = (): Promise<never> => new Promise(() => undefined);

/**
 * One operating-system process. Everything that it awaits of the world passes through `pass`, where
 * it may be killed (it never goes on) or frozen (it goes on later, and does not know).
 */
export class SimulatedProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #machine: Machine;
  readonly #onDeath: (() => void)[] = [];
  #isAlive = true;
  #frozenUntil: InstantMs = instantMs(0);
  #skewMs: number;

  constructor(name: string, machine: Machine) {
    this.name = name;
    this.#machine = machine;
    this.#skewMs = machine.draw.between(-SKEW_MS_MAX, SKEW_MS_MAX);
    if (machine.rates !== NO_FAULTS) machine.strikes.add("clock", "skew");
    const { clock } = machine;
    this.clock = {
      now: () => instantMs(Math.round(clock.now() + this.#skewMs)),
      monotonicMs: () => clock.monotonicMs(),
      turn: () => Promise.resolve(),
      sleep: async (ms, signal) => {
        try {
          await clock.sleep(ms, signal);
        } finally {
          if (!this.#runs()) await this.#goOn();
        }
      },
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }
  /** At once, if it is dead already. */
  onDeath(act: () => void): void {
    if (this.#isAlive) this.#onDeath.push(act);
    else act();
  }
  kill(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    for (const act of this.#onDeath.splice(0)) act();
  }
  jump(): void {
    this.#skewMs = this.#machine.draw.between(-SKEW_MS_MAX, SKEW_MS_MAX);
  }

  /** An await on the world at `place`, which may take a while and may be this process's last. */
  async pass(place: string): Promise<void> {
    const { draw, rates, strikes, clock, focus } = this.#machine;
    if (!this.#runs()) await this.#goOn();
    const often = oftenAt(focus, place);
    if (draw.chance(rates.kill * often)) {
      strikes.add(place, "kill");
      this.kill();
      return never();
    }
    if (draw.chance(rates.freeze * often)) {
      strikes.add(place, "freeze");
      this.#frozenUntil = instantMs(clock.now() + draw.between(100, FREEZE_MS_MAX));
      this.#machine.awakeBy = instantMs(Math.max(this.#machine.awakeBy, this.#frozenUntil));
    }
    const isSlow = draw.chance(rates.slow * often);
    if (isSlow) strikes.add(place, "slow");
    // Of two that meet, either is first: most awaits take time, and some none at all.
    const ms = isSlow ? draw.between(1, SLOW_MS_MAX) : draw.whole(0, 4) - 2;
    if (ms > 0) await clock.sleep(Math.round(ms));
    if (!this.#runs()) await this.#goOn();
  }

  #runs(): boolean {
    return this.#isAlive && this.#machine.clock.now() >= this.#frozenUntil;
  }
  /** When it goes on, if it stands still; else an instant that has passed. */
  get frozenUntil(): InstantMs {
    return this.#frozenUntil;
  }

  /** Resolves when this process runs: at once, after its freeze, or never again. */
  async #goOn(): Promise<void> {
    const { clock } = this.#machine;
    while (this.#isAlive && clock.now() < this.#frozenUntil) {
      await clock.sleep(this.#frozenUntil - clock.now());
    }
    if (!this.#isAlive) await never();
  }
}
