import type {
  AdministeredResource,
  AdministrativeAction,
  BackendCheck,
  BackendId,
  CallContext,
  PolicyActivation,
  PolicyBundle,
  PolicySource,
  Precondition,
  RegisteredResourceServer,
  RegisteredRole,
  RegisteredTrustRoot,
  ResourceServerName,
  RoleName,
  SelfCheck,
  TrustRootLook,
  TrustRootName,
} from "@mayfly/spec";
import type { CoreParts } from "../core-parts.ts";
import { describeCatalog, type DescribedCatalog } from "../described-catalog.ts";
import {
  registerBackend,
  testBackend,
  type BackendRegistered,
  type BackendRegistration,
  type DescribedBackend,
} from "../register/backends.ts";
import {
  planBackend,
  type BackendPlan,
  type BackendPlanRequest,
  type Planned,
} from "../register/plan-backend.ts";
import { planTrustRoots } from "../register/plan-trust-roots.ts";
import {
  activatePolicies,
  planPolicies,
  rollBackPolicies,
  type PoliciesActivated,
  type PoliciesPlanned,
} from "../register/policies.ts";
import { putRole, type RolePut } from "../register/roles.ts";
import { rotateBackend } from "../register/rotate-backend.ts";
import {
  planResourceServers,
  putResourceServer,
  type ResourceServerPut,
} from "../register/resource-servers.ts";
import {
  deleteBackend,
  deleteResourceServer,
  deleteRole,
  deleteTrustRoot,
  setBackendEnabled,
  setResourceServerEnabled,
  setRoleEnabled,
  setTrustRootEnabled,
} from "../register/switches.ts";
import { testRole, type RoleTest } from "../register/test-role.ts";
import {
  previewTrustRoot,
  putTrustRoot,
  testTrustRoot,
  type TrustRootPreview,
  type TrustRootPut,
} from "../register/trust-roots.ts";
import { authorise } from "./authorise.ts";
import type { Author, Authority } from "./author.ts";
import {
  policyHistory,
  policySources,
  readableCatalog,
  readBackend,
  readPolicies,
  readResourceServer,
  readRole,
  readTrustRoot,
  type ReadableCatalog,
} from "./readable.ts";

/**
 * What platform and security teams do. Each asks today's policies of an author that is an identity,
 * and throws `denied`; a change may come with a precondition, and throws `precondition_failed`.
 */
export interface Administration {
  /** For what the ledger and the log are asked, and for ends that are no owner's. */
  authorise(
    by: Author,
    action: AdministrativeAction,
    resource: AdministeredResource,
  ): Promise<Authority>;
  registerBackend(
    registration: BackendRegistration,
    by: Author,
    context: CallContext,
    precondition?: Precondition,
  ): Promise<BackendRegistered>;
  testBackend(id: BackendId, by: Author, context: CallContext): Promise<SelfCheck>;
  rotateBackend(id: BackendId, by: Author, context: CallContext): Promise<BackendRegistered>;
  setBackendEnabled(
    id: BackendId,
    enabled: boolean,
    by: Author,
    precondition?: Precondition,
  ): Promise<void>;
  deleteBackend(id: BackendId, by: Author, precondition?: Precondition): Promise<void>;
  putRole(
    input: unknown,
    by: Author,
    context: CallContext,
    precondition?: Precondition,
  ): Promise<RolePut>;
  testRole(name: RoleName, by: Author, context: CallContext): Promise<RoleTest>;
  setRoleEnabled(
    name: RoleName,
    enabled: boolean,
    by: Author,
    precondition?: Precondition,
  ): Promise<void>;
  deleteRole(name: RoleName, by: Author, precondition?: Precondition): Promise<void>;
  putTrustRoot(input: unknown, by: Author, precondition?: Precondition): Promise<TrustRootPut>;
  setTrustRootEnabled(
    name: TrustRootName,
    enabled: boolean,
    by: Author,
    precondition?: Precondition,
  ): Promise<void>;
  deleteTrustRoot(name: TrustRootName, by: Author, precondition?: Precondition): Promise<void>;
  putResourceServer(
    input: unknown,
    by: Author,
    precondition?: Precondition,
  ): Promise<ResourceServerPut>;
  setResourceServerEnabled(
    name: ResourceServerName,
    enabled: boolean,
    by: Author,
    precondition?: Precondition,
  ): Promise<void>;
  deleteResourceServer(
    name: ResourceServerName,
    by: Author,
    precondition?: Precondition,
  ): Promise<void>;
  activatePolicies(
    sources: readonly PolicySource[],
    by: Author,
    precondition?: Precondition,
  ): Promise<PoliciesActivated>;
  rollBackPolicies(
    digest: string,
    by: Author,
    precondition?: Precondition,
  ): Promise<PoliciesActivated>;
  policyHistory(by: Author, limit: number): Promise<readonly PolicyActivation[]>;
  /** Throws `not_found` for a digest that was never active. */
  policySources(by: Author, digest: string): Promise<readonly PolicySource[]>;
  /** Each answers what its counterpart above would change or refuse, and changes nothing. */
  planBackend(request: BackendPlanRequest, by: Author, context: CallContext): Promise<BackendPlan>;
  planTrustRoots(inputs: readonly unknown[], by: Author): Promise<readonly Planned[]>;
  planResourceServers(inputs: readonly unknown[], by: Author): Promise<readonly Planned[]>;
  planPolicies(sources: readonly PolicySource[], by: Author): Promise<PoliciesPlanned>;
  testTrustRoot(name: TrustRootName, by: Author, context: CallContext): Promise<TrustRootLook>;
  previewTrustRoot(input: unknown, by: Author, context: CallContext): Promise<TrustRootPreview>;
  readBackend(id: BackendId, by: Author): Promise<DescribedBackend>;
  readRole(name: RoleName, by: Author): Promise<RegisteredRole>;
  readTrustRoot(name: TrustRootName, by: Author): Promise<RegisteredTrustRoot>;
  readResourceServer(name: ResourceServerName, by: Author): Promise<RegisteredResourceServer>;
  /** Null before the first. */
  readPolicies(by: Author): Promise<PolicyBundle | null>;
  /** What of the catalog this author may read. Throws `denied` where that is nothing. */
  readableCatalog(by: Author): Promise<ReadableCatalog>;
  /** The last self-check of each backend. */
  backendChecks(): Promise<ReadonlyMap<BackendId, BackendCheck>>;
  /** All of it, for the process itself. */
  catalogView(): Promise<DescribedCatalog>;
}

export function createAdministration(parts: CoreParts): Administration {
  return {
    authorise: (by, action, resource) => authorise(parts, by, { action, resources: [resource] }),
    registerBackend: (...args) => registerBackend(parts, ...args),
    testBackend: (...args) => testBackend(parts, ...args),
    rotateBackend: (...args) => rotateBackend(parts, ...args),
    setBackendEnabled: (...args) => setBackendEnabled(parts, ...args),
    deleteBackend: (...args) => deleteBackend(parts, ...args),
    putRole: (...args) => putRole(parts, ...args),
    testRole: (...args) => testRole(parts, ...args),
    setRoleEnabled: (...args) => setRoleEnabled(parts, ...args),
    deleteRole: (...args) => deleteRole(parts, ...args),
    putTrustRoot: (...args) => putTrustRoot(parts, ...args),
    setTrustRootEnabled: (...args) => setTrustRootEnabled(parts, ...args),
    deleteTrustRoot: (...args) => deleteTrustRoot(parts, ...args),
    putResourceServer: (...args) => putResourceServer(parts, ...args),
    setResourceServerEnabled: (...args) => setResourceServerEnabled(parts, ...args),
    deleteResourceServer: (...args) => deleteResourceServer(parts, ...args),
    activatePolicies: (...args) => activatePolicies(parts, ...args),
    rollBackPolicies: (...args) => rollBackPolicies(parts, ...args),
    policyHistory: (...args) => policyHistory(parts, ...args),
    policySources: (...args) => policySources(parts, ...args),
    planBackend: (...args) => planBackend(parts, ...args),
    planTrustRoots: (...args) => planTrustRoots(parts, ...args),
    planResourceServers: (...args) => planResourceServers(parts, ...args),
    planPolicies: (...args) => planPolicies(parts, ...args),
    testTrustRoot: (...args) => testTrustRoot(parts, ...args),
    previewTrustRoot: (...args) => previewTrustRoot(parts, ...args),
    readBackend: (...args) => readBackend(parts, ...args),
    readRole: (...args) => readRole(parts, ...args),
    readTrustRoot: (...args) => readTrustRoot(parts, ...args),
    readResourceServer: (...args) => readResourceServer(parts, ...args),
    readPolicies: (by) => readPolicies(parts, by),
    readableCatalog: (by) => readableCatalog(parts, by),
    backendChecks: () => parts.ports.catalog.checks(),
    catalogView: async () => describeCatalog(await parts.catalog.fresh()),
  };
}
