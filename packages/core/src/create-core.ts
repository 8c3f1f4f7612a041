import type {
  BackendId,
  CallContext,
  ClientAuthentication,
  Lease,
  PresentedIdentity,
  Secret,
  SecurityQueries,
  SelectorEndReport,
  Task,
  VerifiedIdentity,
} from "@mayfly/spec";
import { createAdministration, type Administration } from "./administer/administration.ts";
import { activePolicies, type ActivePolicies } from "./active-policies.ts";
import { authenticateTask, type AuthenticatedTask } from "./authenticate-task.ts";
import { createBackground } from "./background.ts";
import { createCatalogCache } from "./catalog/catalog-cache.ts";
import { createOpenBackends } from "./catalog/open-backends.ts";
import type { CoreParts } from "./core-parts.ts";
import { endBySelector, type EndBySelectorRequest } from "./end-by-selector.ts";
import { endLease, type EndLeaseRequest } from "./end-lease.ts";
import { endTask, type EndTaskReply, type EndTaskRequest } from "./end-task.ts";
import type { ExchangeReply, ExchangeRequest } from "./exchange/exchange-request.ts";
import { exchange } from "./exchange/exchange.ts";
import { createIssuePlaces } from "./exchange/issue-places.ts";
import { createWorkloadPace } from "./exchange/workload-pace.ts";
import { explain, type Explanation } from "./exchange/explain.ts";
import { heartbeat, type HeartbeatProof, type HeartbeatReply } from "./heartbeat.ts";
import {
  introspect,
  requireHolder,
  taskTokenToEnd,
  type IntrospectedToken,
  type TaskTokenWithTask,
} from "./introspect.ts";
import { createIssuingGate } from "./issuing-gate.ts";
import { listOrphans, type OrphanResult } from "./orphans.ts";
import { createPasses } from "./pass/passes.ts";
import { createGuessPace } from "./register/guess-pace.ts";
import { servedAudiences, servesTask, type ServingWorkload } from "./register/resource-servers.ts";
import type { PassResult } from "./pass/run-pass.ts";
import type { CorePorts } from "./ports.ts";
import { renewLease, type RenewRequest } from "./renew.ts";
import { sweep, type SweepResult } from "./sweep.ts";
import {
  createCertificateAuthorities,
  type CertificateAuthorities,
} from "./certificate-authorities.ts";
import { createTokenIssuers, type TokenIssuers } from "./token-issuers.ts";
import { trace, type TraceReply } from "./trace/trace.ts";
import { useUp, verifyClient, verifyIdentity } from "./verify-identity.ts";

/** The use cases. Every failure is a `BrokerError`, or a defect. */
export interface Core extends Administration, TokenIssuers, CertificateAuthorities {
  // Agents.
  exchange(request: ExchangeRequest, context: CallContext): Promise<ExchangeReply>;
  explain(
    request: Pick<ExchangeRequest, "subject" | "actor" | "client" | "details">,
    context: CallContext,
  ): Promise<Explanation>;
  authenticateTask(token: Secret, context: CallContext): Promise<AuthenticatedTask>;
  /** Whose identity is presented, where nothing is exchanged. Records no one-time use. */
  authenticateWorkload(
    presented: PresentedIdentity,
    context: CallContext,
  ): Promise<VerifiedIdentity>;
  /**
   * Who a client is that authenticates itself where nothing is exchanged. An assertion that counts
   * once is used up by it. Throws `invalid_client`.
   */
  authenticateClient(client: ClientAuthentication, context: CallContext): Promise<VerifiedIdentity>;
  /** Of a task token that somebody else sent; null for what is none. */
  introspect(token: Secret, context: CallContext): Promise<IntrospectedToken | null>;
  /** Of a task token to be revoked; null for what is none, for certain. */
  taskTokenToEnd(token: Secret): Promise<TaskTokenWithTask | null>;
  /** Throws `unauthenticated` where the request did not show the key that the task is bound to. */
  requireHolder(task: Task, context: CallContext): Promise<void>;
  /**
   * The audiences of tokens that are for this workload, as a registered resource server; null where
   * it is none, so that it is told nothing.
   */
  servedAudiences(workload: ServingWorkload): Promise<ReadonlySet<string> | null>;
  /** Whether it is a resource server that may introspect this task's token. */
  servesTask(workload: ServingWorkload, task: Task): Promise<boolean>;
  heartbeat(proof: HeartbeatProof, context: CallContext): Promise<HeartbeatReply>;
  endTask(request: EndTaskRequest, context: CallContext): Promise<EndTaskReply>;
  endLease(request: EndLeaseRequest, context: CallContext): Promise<Lease>;
  endBySelector(request: EndBySelectorRequest, context: CallContext): Promise<SelectorEndReport>;
  renewLease(request: RenewRequest, context: CallContext): Promise<Lease>;
  // Security teams.
  activePolicies(): Promise<ActivePolicies | null>;
  trace(
    queries: Pick<SecurityQueries, "byFingerprint" | "byLeaseId">,
    text: Secret,
  ): Promise<TraceReply>;
  // The worker.
  runPass(backendId: BackendId, context: CallContext): Promise<PassResult>;
  sweep(context: CallContext): Promise<SweepResult>;
  /** Whose ends are due, whoever works on them. */
  dueBackends(): Promise<readonly BackendId[]>;
  listOrphans(backendId: BackendId, context: CallContext): Promise<OrphanResult>;
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
  const guessPace = createGuessPace(ports.clock);
  const issuePlaces = createIssuePlaces(ports.clock);
  const workloadPace = createWorkloadPace(ports.clock, ports.settings.workloadPace);
  const kept = { catalog, openBackends, gate, issuePlaces, workloadPace, background, guessPace };
  const parts: CoreParts = { ports, ...kept };
  const passes = createPasses(parts);

  return {
    exchange: (request, context) => exchange(parts, request, context),
    explain: (request, context) => explain(parts, request, context),
    authenticateTask: (token, context) => authenticateTask(parts, token, context),
    authenticateWorkload: async (presented, context) => {
      // A trust root that was removed vouches for nobody: no reservation will notice it here.
      await catalog.fresh();
      return verifyIdentity(parts, presented, context);
    },
    authenticateClient: async (client, context) => {
      await catalog.fresh();
      return useUp(parts, await verifyClient(parts, client, context));
    },
    introspect: (token, context) => introspect(parts, token, context),
    taskTokenToEnd: (token) => taskTokenToEnd(parts, token),
    requireHolder,
    servedAudiences: (workload) => servedAudiences(parts, workload),
    servesTask: (workload, task) => servesTask(parts, workload, task),
    heartbeat: (proof, context) => heartbeat(parts, proof, context),
    endTask: (request, context) => endTask(parts, passes, request, context),
    endLease: (request, context) => endLease(parts, request, context),
    endBySelector: (request, context) => endBySelector(parts, passes, request, context),
    renewLease: (request, context) => renewLease(parts, request, context),
    activePolicies: () => activePolicies(parts),
    trace: (queries, text) => trace(parts, queries, text),
    runPass: (backendId, context) => passes.run(backendId, context),
    sweep: (context) => sweep(parts, passes, context),
    dueBackends: () => ports.sweepLedger.dueBackends(),
    listOrphans: (backendId, context) => listOrphans(parts, backendId, context),
    ...createAdministration(parts),
    ...createTokenIssuers(parts),
    ...createCertificateAuthorities(parts),
    close: async () => {
      passes.stop();
      await background.drain(DRAIN_SECONDS_MAX);
      await openBackends.close();
    },
  };
}
