import {
  instantMs,
  plusSeconds,
  type BackendSlots,
  type Clock,
  type LeaseId,
  type LeaseOutcome,
} from "@mayfly/spec";
import { createMemorySlots, type SlotLease } from "./memory-ledger/backend-slots.ts";

/** Slots without a ledger, of leases that a test ends itself. */
export interface TestSlots {
  readonly slots: BackendSlots;
  /** As a pass does, whatever became of the credential; `outcome` is `revoked` by default. */
  end(leaseId: LeaseId, outcome?: LeaseOutcome): void;
  /** The next answer to `take` is kept back until `release`, as from a frozen process. */
  holdNext(): { readonly taken: Promise<void>; release(): void };
}

export function createTestSlots(clock: Clock): TestSlots {
  const ended = new Map<LeaseId, SlotLease>();
  let held: { readonly took: () => void; readonly released: Promise<void> } | null = null;
  const reserved = (): SlotLease => ({
    state: "reserved",
    outcome: null,
    endedAt: null,
    endRequestedAt: null,
    issueBy: plusSeconds(clock.now(), 60),
    settleBy: instantMs(0),
    expiresAt: plusSeconds(clock.now(), 60),
  });
  const slots = createMemorySlots({
    now: () => clock.now(),
    leaseOf: (id) => ended.get(id) ?? reserved(),
  });
  return {
    slots: {
      ...slots,
      take: async (...asked) => {
        const answer = await slots.take(...asked);
        if (held === null || answer.kind !== "taken") return answer;
        const { took, released } = held;
        held = null;
        took();
        await released;
        return answer;
      },
    },
    end: (id, outcome = "revoked") => {
      ended.set(id, { ...reserved(), state: "ended", outcome, endedAt: clock.now() });
    },
    holdNext: () => {
      const [taking, releasing] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      held = { took: taking.resolve, released: releasing.promise };
      return { taken: taking.promise, release: releasing.resolve };
    },
  };
}
