import type {
  Actor,
  BackendId,
  CallContext,
  Lease,
  PolicySource,
  PresentedIdentity,
  RoleName,
  Secret,
  SelfCheck,
  TrustRootName,
  VerifiedIdentity,
} from "@mayfly/spec";
import { authenticateTask, type AuthenticatedTask } from "./authenticate-task.ts";
import { createBackground } from "./background.ts";
import { createCatalogCache } from "./catalog/catalog-cache.ts";
import { createOpenBackends } from "./catalog/open-backends.ts";
import type { CoreParts } from "./core-parts.ts";
import { describeCatalog, type DescribedCatalog } from "./described-catalog.ts";
import { endLease, type EndLeaseRequest } from "./end-lease.ts";
import { endTask, type EndTaskReply, type EndTaskRequest } from "./end-task.ts";
import type { ExchangeReply, ExchangeRequest } from "./exchange/exchange-request.ts";
import { exchange } from "./exchange/exchange.ts";
import { explain, type Explanation } from "./exchange/explain.ts";
import { heartbeat, type HeartbeatProof, type HeartbeatReply } from "./heartbeat.ts";
import { createIssuingGate } from "./issuing-gate.ts";
import { listOrphans, type OrphanResult } from "./orphans.ts";
import { createPasses } from "./pass/passes.ts";
import type { PassResult } from "./pass/run-pass.ts";
import type { CorePorts } from "./ports.ts";
import {
  registerBackend,
  testBackend,
  type BackendRegistered,
  type BackendRegistration,
} from "./register/backends.ts";
import { planBackend, type BackendPlan, type BackendPlanRequest } from "./register/plan-backend.ts";
import type { Planned } from "./register/plan-backend.ts";
import { planTrustRoots } from "./register/plan-trust-roots.ts";
import { activatePolicies, planPolicies, type PoliciesActivated } from "./register/policies.ts";
import { putRole, type RolePut } from "./register/roles.ts";
import { putTrustRoot, type TrustRootPut } from "./register/trust-roots.ts";
import { renewLease, type RenewRequest } from "./renew.ts";
import { sweep, type SweepResult } from "./sweep.ts";
import { verifyIdentity } from "./verify-identity.ts";

/** The use cases. Every failure is a `BrokerError`, or a defect. */
export interface Core {
  // Agents.
  exchange(request: ExchangeRequest, context: CallContext): Promise<ExchangeReply>;
  explain(
    request: Pick<ExchangeRequest, "subject" | "actor" | "details">,
    context: CallContext,
  ): Promise<Explanation>;
  authenticateTask(token: Secret, context: CallContext): Promise<AuthenticatedTask>;
  /** Whose identity is presented, where nothing is exchanged. Records no one-time use. */
  authenticateWorkload(
    presented: PresentedIdentity,
    context: CallContext,
  ): Promise<VerifiedIdentity>;
  heartbeat(proof: HeartbeatProof, context: CallContext): Promise<HeartbeatReply>;
  endTask(request: EndTaskRequest, context: CallContext): Promise<EndTaskReply>;
  endLease(request: EndLeaseRequest, context: CallContext): Promise<Lease>;
  renewLease(request: RenewRequest, context: CallContext): Promise<Lease>;
  // The worker.
  runPass(backendId: BackendId, context: CallContext): Promise<PassResult>;
  sweep(context: CallContext): Promise<SweepResult>;
  listOrphans(backendId: BackendId, context: CallContext): Promise<OrphanResult>;
  // Platform teams.
  registerBackend(
    registration: BackendRegistration,
    actor: Actor,
    context: CallContext,
  ): Promise<BackendRegistered>;
  testBackend(id: BackendId, context: CallContext): Promise<SelfCheck>;
  setBackendEnabled(id: BackendId, enabled: boolean, actor: Actor): Promise<void>;
  deleteBackend(id: BackendId, actor: Actor): Promise<void>;
  putRole(input: unknown, actor: Actor, context: CallContext): Promise<RolePut>;
  deleteRole(name: RoleName, actor: Actor): Promise<void>;
  putTrustRoot(input: unknown, actor: Actor): Promise<TrustRootPut>;
  deleteTrustRoot(name: TrustRootName, actor: Actor): Promise<void>;
  activatePolicies(sources: readonly PolicySource[], actor: Actor): Promise<PoliciesActivated>;
  /** Each answers what its counterpart above would change or refuse, and writes nothing. */
  planBackend(request: BackendPlanRequest, context: CallContext): Promise<BackendPlan>;
  planTrustRoots(inputs: readonly unknown[]): Promise<readonly Planned[]>;
  planPolicies(sources: readonly PolicySource[]): Promise<PoliciesActivated>;
  catalogView(): Promise<DescribedCatalog>;
  /** Stops passes, waits for what was started in the background, closes opened backends. */
  close(): Promise<void>;
}

/** Of background work, when the process stops. */
const DRAIN_SECONDS_MAX = 10;

export function createCore(ports: CorePorts): Core {
  const background = createBackground(ports.clock, ports.log);
  const openBackends = createOpenBackends(ports, background);
  const catalog = createCatalogCache(ports, openBackends);
  const gate = createIssuingGate(ports.clock, ports.health, ports.settings);
  const parts: CoreParts = { ports, catalog, openBackends, gate, background };
  const passes = createPasses(parts);

  /** After a change of ours, what this process decides from has it. */
  const changed = async (change: Promise<void>): Promise<void> => {
    await change;
    await catalog.fresh();
  };

  return {
    exchange: (request, context) => exchange(parts, request, context),
    explain: (request, context) => explain(parts, request, context),
    authenticateTask: (token, context) => authenticateTask(parts, token, context),
    authenticateWorkload: async (presented, context) => {
      // A trust root that was removed vouches for nobody: no reservation will notice it here.
      await catalog.fresh();
      return verifyIdentity(parts, presented, context);
    },
    heartbeat: (proof, context) => heartbeat(parts, proof, context),
    endTask: (request, context) => endTask(parts, passes, request, context),
    endLease: (request, context) => endLease(parts, request, context),
    renewLease: (request, context) => renewLease(parts, request, context),
    runPass: (backendId, context) => passes.run(backendId, context),
    sweep: (context) => sweep(parts, passes, context),
    listOrphans: (backendId, context) => listOrphans(parts, backendId, context),
    registerBackend: (registration, actor, context) =>
      registerBackend(parts, registration, actor, context),
    testBackend: (id, context) => testBackend(parts, id, context),
    setBackendEnabled: (id, enabled, actor) =>
      changed(ports.catalog.setBackendEnabled(id, enabled, actor)),
    deleteBackend: (id, actor) => changed(ports.catalog.deleteBackend(id, actor)),
    putRole: (input, actor, context) => putRole(parts, input, actor, context),
    deleteRole: (name, actor) => changed(ports.catalog.deleteRole(name, actor)),
    putTrustRoot: (input, actor) => putTrustRoot(parts, input, actor),
    deleteTrustRoot: (name, actor) => changed(ports.catalog.deleteTrustRoot(name, actor)),
    activatePolicies: (sources, actor) => activatePolicies(parts, sources, actor),
    planBackend: (request, context) => planBackend(parts, request, context),
    planTrustRoots: (inputs) => planTrustRoots(parts, inputs),
    planPolicies: (sources) => planPolicies(parts, sources),
    catalogView: async () => describeCatalog(await catalog.fresh()),
    close: async () => {
      passes.stop();
      await background.drain(DRAIN_SECONDS_MAX);
      await openBackends.close();
    },
  };
}
