import type { FailPoint } from "@mayfly/spec";

/** What strikes a process: at which step, and whether it dies or stands still. */
export interface Blow {
  readonly point: FailPoint;
  readonly how: "kill" | "stop";
  /** It strikes at one of the first so many visits. */
  readonly visitsMax: number;
}

const both = (point: FailPoint, visitsMax: number): readonly Blow[] => [
  { point, how: "kill", visitsMax },
  { point, how: "kill", visitsMax },
  { point, how: "kill", visitsMax },
  { point, how: "stop", visitsMax },
];
const listOf = (blows: readonly Blow[]): readonly [Blow, ...Blow[]] => {
  const [first, ...rest] = blows;
  if (first === undefined) throw new Error("no blows");
  return [first, ...rest];
};

/** Steps that a broker takes: the exchange, a renewal, an end and the passes that it waits for. */
export const BROKER_BLOWS = listOf([
  ...both("reserve.before", 4),
  ...both("reserve.after", 4),
  ...both("issue.before", 4),
  ...both("issue.after", 4),
  ...both("activate.after", 4),
  ...both("schedule.after", 4),
  ...both("renew.recorded", 1),
  ...both("renew.after", 1),
  ...both("end.requested", 2),
  ...both("end.marked", 2),
  ...both("revoke.before", 2),
  ...both("revoke.after", 2),
  ...both("settle.after", 2),
]);

/** Steps of a worker's passes. */
export const WORKER_BLOWS = listOf([
  ...both("revoke.before", 6),
  ...both("revoke.after", 6),
  ...both("settle.after", 6),
  ...both("recover.before", 2),
  ...both("recover.after", 2),
]);
