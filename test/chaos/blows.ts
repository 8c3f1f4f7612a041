import type { FailPoint } from "@mayfly/spec";
import type { Draw } from "../simulation/draw.ts";

/** Whose steps they are. */
export type Victim = "broker" | "worker" | "migrator";
/** What has to be asked of a broker so that it comes to a step. */
export type Family = "exchange" | "pool" | "renew" | "end" | "wait" | "selector" | "none";

export interface Step {
  readonly point: FailPoint;
  readonly family: Family;
  /** It is struck at one of the first so many visits. */
  readonly visitsMax: number;
}

const step = (point: FailPoint, family: Family, visitsMax: number): Step => ({
  point,
  family,
  visitsMax,
});

/** Every durable step, by who takes it. */
export const STEPS: Readonly<Record<Victim, readonly [Step, ...Step[]]>> = {
  broker: [
    step("reserve.before", "exchange", 4),
    step("reserve.after", "exchange", 4),
    step("budget.drawn", "pool", 3),
    step("slot.taken", "pool", 3),
    step("issue.before", "exchange", 4),
    step("issue.after", "exchange", 4),
    step("activate.after", "exchange", 4),
    step("schedule.after", "exchange", 4),
    step("renew.recorded", "renew", 2),
    step("renew.after", "renew", 2),
    step("end.requested", "end", 3),
    step("end.marked", "end", 3),
    step("selector_end.requested", "selector", 1),
    step("selector_end.marked", "selector", 1),
    step("revoke.before", "wait", 2),
    step("revoke.after", "wait", 2),
    step("probe.after", "wait", 2),
    step("settle.after", "wait", 2),
  ],
  worker: [
    step("budget.drawn", "none", 3),
    step("revoke.before", "none", 6),
    step("revoke.after", "none", 6),
    step("probe.after", "none", 6),
    step("settle.after", "none", 6),
    step("recover.before", "none", 2),
    step("recover.after", "none", 2),
  ],
  migrator: [
    step("migrate.applied", "none", 6),
    step("migrate.ledger", "none", 1),
    step("migrate.queue", "none", 1),
  ],
};

/** What befalls one process: perhaps it stands still somewhere for a moment; then it dies. */
export interface Blow {
  readonly kill: Step;
  readonly stop: Step | null;
  /** For MAYFLY_UNSAFE_FAIL_POINT. */
  readonly setting: string;
}

const STOPS = 0.3;

/** Steps at which fewer died are likelier: all of them are to be struck. */
export function drawBlow(victim: Victim, killsAt: (point: FailPoint) => number, draw: Draw): Blow {
  const steps = STEPS[victim];
  const kill = likeliest(steps, killsAt, draw);
  const [first, ...others] = steps.filter(({ point }) => point !== kill.point);
  const stop = first !== undefined && draw.chance(STOPS) ? draw.of([first, ...others]) : null;
  const trap = (how: string, { point, visitsMax }: Step): string =>
    `${point}=${how}@${draw.whole(1, visitsMax)}`;
  const traps = [trap("kill", kill), ...(stop === null ? [] : [trap("stop", stop)])];
  return { kill, stop, setting: traps.join(",") };
}

function likeliest(
  steps: readonly [Step, ...Step[]],
  killsAt: (point: FailPoint) => number,
  draw: Draw,
): Step {
  const weights = steps.map(({ point }) => 1 / (1 + killsAt(point)) ** 2);
  let left = draw.between(0, 1) * weights.reduce((sum, weight) => sum + weight, 0);
  return steps.find((_, n) => (left -= weights[n] ?? 0) <= 0) ?? steps[0];
}
