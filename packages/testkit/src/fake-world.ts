import {
  FAIL_POINTS,
  durationSeconds,
  parseInstallationId,
  untraced,
  type BackendCapabilities,
  type BackendId,
  type CallContext,
  type FailPoint,
  type FailPoints,
  type PresentedIdentity,
} from "@mayfly/spec";
import { createFakeAlarmClock } from "./fake-alarm-clock.ts";
import { createFakeBackend } from "./fake-backend/fake-backend.ts";
import { FakeUpstream, type FakeUpstreamOptions } from "./fake-backend/fake-upstream.ts";
import { createFakeClock, type FakeClock } from "./fake-clock.ts";
import { createFakePolicyCompiler, fakePolicySource } from "./fake-policy-compiler.ts";
import type { FakePolicyRule } from "./fake-policy.ts";
import { createFakeSealer } from "./fake-sealer.ts";
import { createFakeTaskTokens } from "./fake-task-tokens.ts";
import { createFakeTrustRoots, fakeIdentity, type FakeIdentity } from "./fake-trust-roots.ts";
import { noBackendKeys } from "./no-backend-keys.ts";
import { noOutboundApis } from "./no-outbound-apis.ts";
import { createMemoryLedger } from "./memory-ledger/memory-ledger.ts";
import { createRecordingLog } from "./recording-log.ts";
import { seededRandom } from "./seeded-random.ts";

export const WORLD_ISSUER = "https://broker.test";
/** SPIFFE trust domain of the world's workloads. */
export const WORLD_TRUST = "acme.test";
export const INVOICE_BOT = "spiffe://acme.test/agent/invoice-bot";
export const REPORT_BOT = "spiffe://acme.test/agent/report-bot";

export interface FakeWorldOptions {
  readonly seed?: string | number;
  readonly capabilities?: Partial<BackendCapabilities>;
  readonly upstream?: Omit<FakeUpstreamOptions, "clock">;
  readonly settings?: Partial<FakeSettings>;
}

/** Settings of a core, in the seconds of tests. */
export interface FakeSettings {
  readonly issueSeconds: number;
  readonly clockSkewSecondsMax: number;
  readonly quarantineSeconds: number;
  readonly sweepIntervalSeconds: number;
  readonly listingIntervalSeconds: number;
  readonly claimSeconds: number;
  readonly retryBaseSeconds: number;
  readonly retrySecondsMax: number;
  readonly attemptsUntilStuck: number;
  readonly stuckMax: number;
  readonly taskDepthMax: number;
  readonly taskSecondsMax: number;
  readonly taskTokenSecondsMax: number;
  readonly passConcurrency: number;
  readonly claimBatch: number;
  readonly limits: {
    readonly perTask: number;
    readonly perWorkload: number;
    readonly perRole: number;
  };
  readonly workloadPace: { readonly perSecond: number; readonly atOnce: number };
}

const SETTINGS: FakeSettings = {
  issueSeconds: 2,
  clockSkewSecondsMax: 1,
  quarantineSeconds: 5,
  sweepIntervalSeconds: 10,
  listingIntervalSeconds: 60,
  claimSeconds: 10,
  retryBaseSeconds: 2,
  retrySecondsMax: 300,
  attemptsUntilStuck: 3,
  stuckMax: 5,
  taskDepthMax: 4,
  taskSecondsMax: 86_400,
  taskTokenSecondsMax: 600,
  passConcurrency: 8,
  claimBatch: 16,
  limits: { perTask: 100, perWorkload: 1000, perRole: 1000 },
  workloadPace: { perSecond: 0, atOnce: 1_000 },
};

/** Fail points whose visits are recorded and which a test may make wait, throw or never return. */
export interface FakeFailPoints extends FailPoints {
  readonly visits: readonly FailPoint[];
  /** Runs `act` at each visit, until another is set; null: nothing. */
  at(point: FailPoint, act: (() => Promise<void>) | null): void;
}

export function createFakeFailPoints(): FakeFailPoints {
  const acts = new Map<FailPoint, () => Promise<void>>();
  const visits: FailPoint[] = [];
  return {
    visits,
    at: (point, act) => {
      if (!FAIL_POINTS.includes(point)) throw new Error(`no such fail point: ${point}`);
      if (act === null) acts.delete(point);
      else acts.set(point, act);
    },
    reached: async (point) => {
      visits.push(point);
      await acts.get(point)?.();
    },
  };
}

/**
 * All the ports of a core, as fakes on one clock, with two backends (`orders-db` and `other-db`,
 * each over an upstream of its own). What a process keeps is made anew for a second core on the
 * same world; ledger, queue and upstreams outlive it, as servers do.
 */
export function createFakeWorld(options: FakeWorldOptions = {}) {
  const clock = createFakeClock();
  const ledger = createMemoryLedger(clock);
  const log = createRecordingLog();
  const upstream = new FakeUpstream({ clock, ...options.upstream });
  const otherUpstream = new FakeUpstream({ clock, identity: "other-upstream" });
  const alarm = createFakeAlarmClock(clock);
  const failPoints = createFakeFailPoints();
  const taskTokens = createFakeTaskTokens();
  const sealer = createFakeSealer();
  const capabilities = { issueCallSecondsMax: durationSeconds(1), ...options.capabilities };
  const backend = createFakeBackend({ upstream, capabilities });
  const other = createFakeBackend({ upstream: otherUpstream, type: "other" });
  const ports = {
    clock,
    random: seededRandom(options.seed ?? "world"),
    log,
    failPoints,
    installation: parseInstallationId("testaaaa", "installation"),
    issueLedger: ledger.issue,
    taskLedger: ledger.tasks,
    selectorEnds: ledger.selectorEnds,
    sweepLedger: ledger.sweep,
    health: ledger.health,
    catalog: ledger.catalog,
    sealer,
    alarm,
    trustRoots: createFakeTrustRoots({ issuer: WORLD_ISSUER }),
    taskTokens,
    apis: noOutboundApis,
    backendKeys: () => noBackendKeys,
    backendBudget: (id: BackendId) => ledger.backendBudgets.of(id),
    backendNames: (id: BackendId) => ledger.backendNames.of(id),
    backendSlots: (id: BackendId) => ledger.backendSlots.of(id),
    tracer: untraced,
    policyCompiler: createFakePolicyCompiler(),
    backendTypes: new Map([backend, other].map((type) => [type.type, type])),
    settings: { issuer: WORLD_ISSUER, ...SETTINGS, ...options.settings },
  };
  const context = (signal = new AbortController().signal): CallContext => ({
    clock,
    signal,
    traceId: "trace-1",
  });
  return {
    clock,
    ledger,
    log,
    upstream,
    otherUpstream,
    alarm,
    failPoints,
    taskTokens,
    ports,
    context,
  };
}
export type FakeWorld = ReturnType<typeof createFakeWorld>;

/** A fresh token of a workload of the world, good for five minutes. */
export const proofOf = (
  clock: FakeClock,
  subject: string = INVOICE_BOT,
  facts: Partial<FakeIdentity> = {},
): PresentedIdentity =>
  fakeIdentity({
    kind: "spiffe",
    issuer: `spiffe://${WORLD_TRUST}`,
    subject,
    audience: WORLD_ISSUER,
    expiresAt: clock.now() + 300_000,
    ...facts,
  });

export const PERMIT_ALL: readonly FakePolicyRule[] = [{ id: "all", effect: "permit" }];

const ADMIN = { kind: "administrator", name: "alice" } as const;

/** What of a core the world is furnished through: the way that a platform team takes. */
interface Furnished {
  putTrustRoot(input: unknown, actor: typeof ADMIN): Promise<unknown>;
  registerBackend(
    registration: { readonly id: string; readonly type: string; readonly config: unknown },
    actor: typeof ADMIN,
    context: CallContext,
  ): Promise<unknown>;
  putRole(input: unknown, actor: typeof ADMIN, context: CallContext): Promise<unknown>;
  activatePolicies(
    sources: readonly { readonly name: string; readonly text: string }[],
    actor: typeof ADMIN,
  ): Promise<unknown>;
  sweep(context: CallContext): Promise<unknown>;
}

/** Backend passwords of the world: what must show nowhere. */
export const WORLD_PASSWORDS = ["orders-backend-password", "other-backend-password"] as const;

/** Registers trust, both backends, three roles and policies; sweeps once, so that it may issue. */
export async function furnish(
  world: FakeWorld,
  core: Furnished,
  rules: readonly FakePolicyRule[] = PERMIT_ALL,
): Promise<void> {
  const config = { issuer: `spiffe://${WORLD_TRUST}`, identity_max_age_seconds: 3600 };
  await core.putTrustRoot({ trust: WORLD_TRUST, kind: "spiffe", config }, ADMIN);
  const context = world.context();
  const [first, second] = WORLD_PASSWORDS;
  const orders = { address: "orders.test", password: first };
  await core.registerBackend({ id: "orders-db", type: "fake", config: orders }, ADMIN, context);
  const otherConfig = { address: "other.test", password: second };
  await core.registerBackend(
    { id: "other-db", type: "other", config: otherConfig },
    ADMIN,
    context,
  );
  const facts = {
    ttl_max: "30m",
    data_class: "confidential",
    reversibility: "read_only",
    environment: "prod",
  };
  const reader = { role: "orders-db/reader", ...facts, groups: ["read", "list"], connections: 4 };
  await core.putRole(reader, ADMIN, context);
  const writer = { role: "orders-db/writer", ...facts, groups: ["read", "write"] };
  await core.putRole(writer, ADMIN, context);
  await core.putRole({ role: "other-db/reader", ...facts, groups: ["read"] }, ADMIN, context);
  await core.activatePolicies([fakePolicySource(rules)], ADMIN);
  await core.sweep(context);
}
