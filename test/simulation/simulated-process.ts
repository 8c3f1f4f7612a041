import { instantMs, type Clock, type InstantMs } from "@mayfly/spec";
import type { FakeClock } from "@mayfly/testkit";
import type { Draw } from "./draw.ts";
import type { FaultRates, Strikes } from "./faults.ts";

/** What the processes of one history share. */
export interface Machine {
  /** True time: the ledger's and the backends'. */
  readonly clock: FakeClock;
  readonly draw: Draw;
  readonly strikes: Strikes;
  /** Replaced by none when the history calms down. */
  rates: FaultRates;
  /** Backends that nobody can reach now. */
  readonly away: Set<string>;
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
    const { clock } = machine;
    this.clock = {
      now: () => instantMs(Math.round(clock.now() + this.#skewMs)),
      monotonicMs: () => clock.monotonicMs(),
      sleep: async (ms, signal) => {
        try {
          await clock.sleep(ms, signal);
        } finally {
          await this.#goOn();
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

  /** An await on the world at `place`, which takes a while and may be this process's last. */
  async pass(place: string): Promise<void> {
    const { draw, rates, strikes, clock } = this.#machine;
    await this.#goOn();
    if (draw.chance(rates.kill)) {
      strikes.add(place, "kill");
      this.kill();
      return never();
    }
    if (draw.chance(rates.freeze)) {
      strikes.add(place, "freeze");
      this.#frozenUntil = instantMs(clock.now() + draw.between(100, FREEZE_MS_MAX));
    }
    const isSlow = draw.chance(rates.slow);
    if (isSlow) strikes.add(place, "slow");
    await clock.sleep(Math.round(draw.between(0, isSlow ? SLOW_MS_MAX : 3)));
    await this.#goOn();
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
