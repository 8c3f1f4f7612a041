export type { AuthenticatedTask } from "./authenticate-task.ts";
export type { IntrospectedToken, TaskTokenWithTask } from "./introspect.ts";
export { createCore, type Core } from "./create-core.ts";
export type { DescribedCatalog } from "./described-catalog.ts";
export { CREDENTIALS_MAX, taskDetailsForms } from "./descriptor/task-details.ts";
export type { ActivePolicies } from "./active-policies.ts";
export type { TraceReply } from "./trace/trace.ts";
export { TRACE_CHARACTERS_MAX } from "./trace/trace-candidates.ts";
export { LOOK_SECONDS_MAX, type EndBySelectorRequest } from "./end-by-selector.ts";
export type { EndLeaseRequest } from "./end-lease.ts";
export type { EndTaskReply, EndTaskRequest } from "./end-task.ts";
export type {
  ExchangeReply,
  ExchangeRequest,
  ExchangeSubject,
  IssuedCredential,
} from "./exchange/exchange-request.ts";
export type { ExplainedCredential, Explanation } from "./exchange/explain.ts";
export type { HeartbeatProof, HeartbeatReply } from "./heartbeat.ts";
export type { OrphanResult } from "./orphans.ts";
export type { PassResult } from "./pass/run-pass.ts";
export { checkSchemaOf, checkSweepOf, type CheckedLedger } from "./ledger-checks.ts";
export { createSlots, type Slots } from "./pass/slots.ts";
export type { CorePorts } from "./ports.ts";
export type {
  BackendRegistered,
  BackendRegistration,
  DescribedBackend,
} from "./register/backends.ts";
export type { BackendPlan, BackendPlanRequest, Planned } from "./register/plan-backend.ts";
export { policyProblemJson, type PoliciesActivated } from "./register/policies.ts";
export { ROLE_MEMBERS_SCHEMA, type RolePut } from "./register/roles.ts";
export { tagOfAttribute } from "./register/example-policy.ts";
export {
  RESOURCE_SERVER_SCHEMA,
  resourceServerMembers,
  shownTaskTokens,
  type ResourceServerPut,
} from "./register/resource-servers.ts";
export type { TrustRootPreview, TrustRootPut } from "./register/trust-roots.ts";
export type { RenewRequest } from "./renew.ts";
export { createSealing, type Resealed, type Sealing, type SealingStatus } from "./sealing.ts";
export type { CoreSettings } from "./settings.ts";
export { duration } from "./strict/duration.ts";
export type { SweepResult } from "./sweep.ts";
export type { CredentialToEnd, IntrospectedCredential } from "./token-issuers.ts";
export type { Administration } from "./administer/administration.ts";
export {
  authorOfIdentity,
  type Author,
  type Authority,
  type IdentityAuthor,
} from "./administer/author.ts";
export type { ReadableCatalog } from "./administer/readable.ts";
export {
  backendResource,
  leaseResource,
  roleResource,
  taskResource,
  trustRootResource,
} from "./administer/resources.ts";
export type { RoleTest } from "./register/test-role.ts";
