import type { CoreSettings } from "@mayfly/core";
import type { SharedSettings } from "@mayfly/settings";

/** RFC 9068 tokens of ours live at most this long; the design's word on task tokens. */
const TASK_TOKEN_SECONDS_MAX = 600;
const RETRY_SECONDS_MAX = 300;
const CLAIM_BATCH = 256;

/** The core's settings, from the environment variables that broker and worker share. */
export const coreSettings = (settings: SharedSettings): CoreSettings => ({
  issuer: settings.issuer,
  issueSeconds: settings.issueSeconds,
  clockSkewSecondsMax: settings.unsafeClockSkewSeconds,
  quarantineSeconds: settings.unsafeQuarantineSeconds,
  sweepIntervalSeconds: settings.sweepIntervalSeconds,
  listingIntervalSeconds: settings.listingIntervalSeconds,
  claimSeconds: settings.claimSeconds,
  retryBaseSeconds: settings.retryBaseSeconds,
  retrySecondsMax: RETRY_SECONDS_MAX,
  attemptsUntilStuck: settings.attemptsUntilStuck,
  stuckMax: settings.stuckMax,
  limits: {
    perTask: settings.liveLeasesMaxPerTask,
    perWorkload: settings.liveLeasesMaxPerWorkload,
    perRole: settings.liveLeasesMaxPerRole,
  },
  workloadPace: {
    perSecond: settings.workloadExchangesPerSecond,
    atOnce: settings.workloadExchangesAtOnce,
  },
  taskDepthMax: settings.taskDepthMax,
  taskSecondsMax: settings.taskSecondsMax,
  taskTokenSecondsMax: TASK_TOKEN_SECONDS_MAX,
  passConcurrency: settings.passConcurrency,
  claimBatch: CLAIM_BATCH,
});
