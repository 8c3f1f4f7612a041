import { LEASE_TRANSITIONS, type LeaseState, type LeaseTransition } from "@mayfly/spec";

/** The state that a transition leads to, or null where it does not exist. */
export function nextLeaseState(from: LeaseState, transition: LeaseTransition): LeaseState | null {
  const exits: Readonly<Partial<Record<LeaseTransition, LeaseState>>> = LEASE_TRANSITIONS[from];
  return exits[transition] ?? null;
}
