/** The TypeScript SDK of Mayfly: credentials that live as long as the task. */
export { openTask, withTask } from "./open-task.ts";
export type { EndOptions, RenewOptions, Task } from "./task.ts";
export type {
  ChildOptions,
  CredentialRequest,
  DrawOptions,
  Duration,
  Json,
  TaskConduct,
  TaskDescription,
  TaskOptions,
} from "./task-options.ts";
export type { ConnectionOptions } from "./connection.ts";
export type { ApiHeaders, ApiRequest } from "./api-headers.ts";
export {
  AccessToken,
  OtherCredential,
  PostgresPassword,
  type Credential,
  type CredentialFacts,
  type CredentialKind,
  type CredentialKinds,
  type PostgresLogin,
} from "./credential.ts";
export { Hidden, Secret } from "./secret.ts";
export { MayflyError, type ClientErrorCode, type MayflyErrorParts } from "./mayfly-error.ts";
export type { EndedLease, EndedTask, EndState } from "./ended-task.ts";
export { awsIdentity, type AwsIdentityOptions } from "./identity/aws-identity.ts";
export { environmentIdentity } from "./identity/environment-identity.ts";
export { fileIdentity } from "./identity/file-identity.ts";
export { gcpIdentity, type GcpIdentityOptions } from "./identity/gcp-identity.ts";
export { githubActionsIdentity } from "./identity/github-actions-identity.ts";
export { kubernetesIdentity } from "./identity/kubernetes-identity.ts";
export { spiffeIdentity, type SpiffeIdentityOptions } from "./identity/spiffe-identity.ts";
export type { CustomIdentity, IdentitySource } from "./identity/identity-source.ts";
export type { Identity, IdentityName } from "./identity/present-identity.ts";
