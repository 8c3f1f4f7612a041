import type { BackendId, LeaseId } from "./ids.ts";
import type { DurationSeconds } from "./time.ts";

/**
 * What the ledger keeps of the principals of a pooled backend, its *slots*: few, made by the
 * platform team, and used again and again. All times are the ledger's.
 *
 * D1. A slot has one tenant at a time: it is free again only when the lease of the last one has
 * ended and its quarantine, counted from the later of that end and the lease's `settleBy`, is over.
 * What was certainly never sent (`abandoned`) needs none. Who is still a tenant is read from the
 * leases, so no crash leaves a slot taken, and a lease that resurfaces has its slot again.
 * D2. Each tenancy has a generation: higher than any of that slot before it, and below 2^53.
 */
export interface BackendSlots {
  /**
   * D3. Durable before the upstream hears of it, with an event. D4. Of one lease it is the same
   * tenancy, however often it is asked for. `late`: the lease is not reserved any more, its end was
   * asked for, or its `issueBy` has passed: nothing may be sent.
   */
  take(leaseId: LeaseId, wanted: SlotsWanted): Promise<SlotAnswer>;
  /** That of the lease; null: it never had one, or the slot has gone on to another. */
  find(leaseId: LeaseId): Promise<KeptTenancy | null>;
  /** Who has the slot, or had it last; null: nobody ever. */
  last(slot: string): Promise<KeptTenancy | null>;
}

export interface SlotsWanted {
  /** The names of the pool: 1 to {@link SLOTS_MAX}, none twice. */
  readonly slots: readonly string[];
  /**
   * At least the longest call and the longest that anything lives which a tenant could have made of
   * its credential, both after the end of the tenancy.
   */
  readonly quarantineSeconds: DurationSeconds;
}

export const SLOTS_MAX = 1_000;

export type SlotAnswer =
  | { readonly kind: "taken"; readonly tenancy: Tenancy }
  /** All have a tenant, or had one a moment ago: so long at most until the first is free. */
  | { readonly kind: "busy"; readonly freeInSeconds: number }
  | { readonly kind: "late" };

export interface Tenancy {
  readonly slot: string;
  readonly generation: number;
  readonly leaseId: LeaseId;
}

/** D5. A tenancy as the ledger has it at this instant. */
export interface KeptTenancy extends Tenancy {
  /** Whether its lease has ended. */
  readonly hasEnded: boolean;
  /**
   * For so long from this instant nobody else gets the slot: its quarantine, which begins with the
   * end, or what is left of it.
   */
  readonly keptSeconds: number;
}

export interface BackendSlotStores {
  of(backendId: BackendId): BackendSlots;
}
