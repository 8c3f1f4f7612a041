import type { FailPoint } from "@mayfly/spec";
import type { Victim } from "./blows.ts";

/** What struck so far. */
export class Score {
  readonly #say: (line: string) => void;
  readonly #goal: number;
  readonly #begunAt = performance.now();
  readonly #steps = new Map<string, number>();
  readonly #stops = new Map<string, number>();
  readonly #misfortunes = new Map<string, number>();
  /** Between two durable steps; what was killed at random is not among them. */
  kills = 0;
  randomKills = 0;

  constructor(goal: number, say: (line: string) => void) {
    this.#goal = goal;
    this.#say = say;
  }
  get isReached(): boolean {
    return this.kills >= this.#goal;
  }
  killed(victim: Victim, point: FailPoint): void {
    this.kills++;
    add(this.#steps, `${victim}: ${point}`);
    if (this.kills % 25 !== 0) return;
    const seconds = Math.round((performance.now() - this.#begunAt) / 1000);
    this.#say(`${this.kills} of ${this.#goal} kills after ${seconds} s`);
  }
  killedAtRandom(): void {
    this.randomKills++;
  }
  stopped(victim: Victim, point: FailPoint): void {
    add(this.#stops, `${victim}: ${point}`);
  }
  befell(what: string): void {
    add(this.#misfortunes, what);
  }
  killsAt(victim: Victim, point: FailPoint): number {
    return this.#steps.get(`${victim}: ${point}`) ?? 0;
  }
  killsOf(victim: Victim): number {
    return [...this.#steps]
      .filter(([step]) => step.startsWith(victim))
      .reduce((sum, [, count]) => sum + count, 0);
  }
  get byStep(): ReadonlyMap<string, number> {
    return sorted(this.#steps);
  }
  get stops(): ReadonlyMap<string, number> {
    return sorted(this.#stops);
  }
  get misfortunes(): ReadonlyMap<string, number> {
    return sorted(this.#misfortunes);
  }
}

const add = (to: Map<string, number>, what: string): unknown =>
  to.set(what, (to.get(what) ?? 0) + 1);
const sorted = (counts: ReadonlyMap<string, number>): ReadonlyMap<string, number> =>
  new Map([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
