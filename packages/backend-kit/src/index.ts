/** What most backend types need beside the interface of `@mayfly/spec`. */
export { LIMITS_SCHEMA } from "./limit-settings.ts";
export { aroundCalls, type AroundCall, type BackendOperation } from "./around-calls.ts";
export type { BreakerState } from "./breaker.ts";
export { CallBatcher, type CallBatching } from "./call-batcher.ts";
export { defineBackend, type BackendDefinition, type LeaseOperations } from "./define-backend.ts";
export { describeSettings } from "./describe-settings.ts";
export { toJsonSchema } from "./json-schema.ts";
export { LISTED_MAX, listedMarks, waitMs, type LeaseMark } from "./lease-listing.ts";
export { beyondRole, leaseRules, type LeaseRules } from "./lease-rules.ts";
export {
  LEASE_NAME_PATTERN,
  SHORT_LEASE_NAME_PATTERN,
  leaseName,
  readLeaseName,
  readShortLeaseName,
  shortLeaseName,
} from "@mayfly/spec";
export { issueBySigning, orNothingSigned } from "./issue-by-signing.ts";
export { keptDocuments } from "./kept-documents.ts";
export { parseStrict } from "./parse-strict.ts";
export { plainObject } from "./plain-json.ts";
export {
  definePooledBackend,
  type PooledDefinition,
  type PooledOperations,
  type SlotPage,
} from "./define-pooled-backend.ts";
export { PASSWORD_ROTATION, previousPassword } from "./secret-rotation.ts";
export { refuseCrowded } from "./refuse-crowded.ts";
export { notSent, refuseAborted, refusePast } from "./refuse-late.ts";
export { retryAfterSeconds } from "./retry-after.ts";
export {
  apiHost,
  apiOrigin,
  certificates,
  ownSecret,
  serverAccess,
  serverHost,
  serverPort,
  serverTls,
  tlsMode,
  type ServerTls,
  type TlsMode,
} from "./server-settings.ts";
export { SharedLook } from "./shared-look.ts";
export { tokenFile } from "./token-file.ts";
export { createClosing, type Closing } from "./unless-closed.ts";
export { slotPool, type SlotTenancy } from "./slot-tenancy.ts";
export {
  upstreamFailures,
  type FailureMeaning,
  type UpstreamFailures,
} from "./upstream-failures.ts";
export { UNWATCHED_LIMITS, withLimits, type LimitWatch } from "./with-limits.ts";
