import fc from "fast-check";
import { expect, test } from "vitest";
import {
  LEASE_STATES,
  LEASE_TRANSITIONS,
  LIVE_LEASE_STATES,
  TASK_STATES,
  canEndTask,
  type LeaseState,
  type LeaseTransition,
} from "@mayfly/spec";
import { nextLeaseState } from "./lease-machine.ts";

const TRANSITIONS = [
  ...new Set(Object.values(LEASE_TRANSITIONS).flatMap((exits) => Object.keys(exits))),
].filter((name): name is LeaseTransition => name !== "");
const canBecome = (from: LeaseState, to: LeaseState): boolean =>
  TRANSITIONS.some((transition) => nextLeaseState(from, transition) === to);
const walk = fc.array(fc.constantFrom(...TRANSITIONS), { maxLength: 40 });

function statesOf(steps: readonly LeaseTransition[]): readonly LeaseState[] {
  const states: LeaseState[] = ["reserved"];
  for (const step of steps) {
    const next = nextLeaseState(states.at(-1)!, step);
    if (next !== null) states.push(next);
  }
  return states;
}

test("every state is reached from reserved, and every walk stays within the states", () => {
  const seen = new Set<LeaseState>();
  fc.assert(
    fc.property(walk, (steps) => {
      for (const state of statesOf(steps)) {
        expect(LEASE_STATES).toContain(state);
        seen.add(state);
      }
    }),
    { numRuns: 500 },
  );
  expect([...seen].toSorted()).toEqual([...LEASE_STATES].toSorted());
});

test("what was active ends only by way of ending: nothing skips the probe", () => {
  expect(canBecome("active", "ended")).toBe(false);
  expect(canBecome("active", "ending")).toBe(true);
  fc.assert(
    fc.property(walk, (steps) => {
      const states = statesOf(steps);
      const endedAt = states.indexOf("ended");
      if (endedAt > 0 && states.slice(0, endedAt).includes("active")) {
        expect(["ending", "stuck"]).toContain(states[endedAt - 1]);
      }
    }),
  );
});

test("nothing comes back to reserved, nor to active but from reserved", () => {
  fc.assert(
    fc.property(walk, (steps) => {
      const states = statesOf(steps);
      expect(states.lastIndexOf("reserved")).toBe(0);
      for (const [index, state] of states.entries()) {
        if (state === "active") expect(["reserved", "active"]).toContain(states[index - 1]);
      }
    }),
  );
});

test("from every live state a lease can still end", () => {
  for (const state of LIVE_LEASE_STATES) {
    const reachable = new Set<LeaseState>([state]);
    for (const from of reachable) {
      for (const to of LEASE_STATES) if (canBecome(from, to)) reachable.add(to);
    }
    expect(reachable).toContain("ended");
  }
});

test("a task is left active once, and never entered again", () => {
  expect(TASK_STATES.filter(canEndTask)).toEqual(["active"]);
});
