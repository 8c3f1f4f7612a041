import type { LeaseLimits } from "@mayfly/spec";
import type { WorkloadPaceSettings } from "./exchange/workload-pace.ts";

/** What the services read from their configuration. Every `…Seconds` may have a fraction. */
export interface CoreSettings {
  /** Public URL of the broker: its OAuth issuer, and the only audience. */
  readonly issuer: string;
  /** `issueBy` is this long after the reservation. */
  readonly issueSeconds: number;
  /** Allowed between any two clocks; part of `settleBy` and of the margin of `expired`. */
  readonly clockSkewSecondsMax: number;
  readonly quarantineSeconds: number;
  readonly sweepIntervalSeconds: number;
  readonly listingIntervalSeconds: number;
  readonly claimSeconds: number;
  readonly retryBaseSeconds: number;
  /** At most 300. */
  readonly retrySecondsMax: number;
  readonly attemptsUntilStuck: number;
  /** A backend with more stuck leases than this issues no more. */
  readonly stuckMax: number;
  readonly limits: LeaseLimits;
  readonly workloadPace: WorkloadPaceSettings;
  readonly taskDepthMax: number;
  readonly taskSecondsMax: number;
  readonly taskTokenSecondsMax: number;
  /** Slots per backend of a pass. */
  readonly passConcurrency: number;
  /** Rows that a pass claims at once. */
  readonly claimBatch: number;
}
