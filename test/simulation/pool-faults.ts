import type { FakeFault } from "@mayfly/testkit";

const ANSWERS = ["unavailable", "timeout_without_effect", "hang"] as const;
const EFFECTS = ["timeout_with_effect", "twice"] as const;

/** What befalls a request to the server of a pool, on its way. */
export const POOL_FAULTS = {
  issue: [...ANSWERS, ...EFFECTS, "late_effect"],
  recover: [...ANSWERS, ...EFFECTS, "late_effect"],
  revoke: [...ANSWERS, ...EFFECTS, "late_effect", "pretend"],
  probe: [...ANSWERS],
  extend: [...ANSWERS, ...EFFECTS],
  list: [...ANSWERS],
} as const satisfies Readonly<Record<string, readonly [FakeFault, ...FakeFault[]]>>;

export type PoolOperation = keyof typeof POOL_FAULTS;
export type PoolFault = (typeof POOL_FAULTS)[PoolOperation][number];

/** Of the ledger, before the server hears of anything. */
export const SLOT_CALLS = ["take", "find", "last"] as const;
