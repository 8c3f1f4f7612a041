/** What most backend types need beside the interface of `@mayfly/spec`. */
export { LIMITS_SCHEMA } from "./limit-settings.ts";
export { aroundCalls, type AroundCall, type BackendOperation } from "./around-calls.ts";
export type { BreakerState } from "./breaker.ts";
export { toJsonSchema } from "./json-schema.ts";
export {
  LEASE_NAME_PATTERN,
  SHORT_LEASE_NAME_PATTERN,
  leaseName,
  readLeaseName,
  readShortLeaseName,
  shortLeaseName,
} from "@mayfly/spec";
export { parseStrict } from "./parse-strict.ts";
export { plainObject } from "./plain-json.ts";
export { notSent, refuseAborted, refusePast } from "./refuse-late.ts";
export {
  apiHost,
  apiOrigin,
  certificates,
  ownSecret,
  serverHost,
  serverPort,
  serverTls,
  tlsMode,
  type ServerTls,
  type TlsMode,
} from "./server-settings.ts";
export { createClosing, type Closing } from "./unless-closed.ts";
export { withLimits, type LimitWatch } from "./with-limits.ts";
