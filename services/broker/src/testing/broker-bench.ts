import { createHash } from "node:crypto";
import { fileSchemas } from "@mayfly/composition";
import { createCore, createSealing, type Core, type CoreSettings } from "@mayfly/core";
import {
  createBackendKeyAdministration,
  createBackendKeys,
  createDpopProofs,
  createSigningKeyAdministration,
  createTaskTokens,
  createTrustRoots,
  defaultTaskTokensSettings,
  type BackendKeysOptions,
  type DpopProofsOptions,
  type TaskTokensOptions,
} from "@mayfly/identity";
import { createPolicyCompiler } from "@mayfly/policy";
import {
  parseBackendId,
  parseInstallationId,
  untraced,
  type BackendCapabilities,
  type BackendId,
  type CallContext,
  type CredentialBackend,
  type DpopProofs,
  type FailPoints,
} from "@mayfly/spec";
import {
  createFakeAlarmClock,
  createFakeBackend,
  createFakeClock,
  createFakeOutboundHttp,
  createFakeSealedValues,
  createFakeSealer,
  createMemoryLedger,
  createRecordingLog,
  FakeUpstream,
  noOutboundApis,
  seededRandom,
  type FakeClock,
  type MemoryLedger,
  type RecordingLog,
} from "@mayfly/testkit";
import { bootstrapAdministrators } from "../administrators.ts";
import { createAdmission, type Admission } from "../http/admission.ts";
import { createApp, type AppPorts } from "../http/app.ts";
import { createAfterwork } from "../http/afterwork.ts";
import {
  createClientAddress,
  type AddressRange,
  type ClientAddress,
} from "../http/client-address.ts";
import { unmetered } from "../http/request-meter.ts";
import { unpaced, type SourcePace } from "../http/source-pace.ts";
import { checkAnswers } from "./check-answers.ts";
import { registerDefaults } from "./registered.ts";
import { createTestIdentities, type TestIdentities } from "./test-identities.ts";

export const ADMIN_TOKEN = `mayfly_admin_${"test".padEnd(43, "0")}`;
export const ISSUER = "https://mayfly.test";

const SETTINGS: Omit<CoreSettings, "issuer"> = {
  issueSeconds: 10,
  clockSkewSecondsMax: 1,
  quarantineSeconds: 1,
  sweepIntervalSeconds: 86_400,
  listingIntervalSeconds: 86_400,
  claimSeconds: 30,
  retryBaseSeconds: 2,
  retrySecondsMax: 300,
  attemptsUntilStuck: 6,
  stuckMax: 100,
  limits: { perTask: 50, perWorkload: 5000, perRole: 5000 },
  workloadPace: { perSecond: 0, atOnce: 1_000 },
  taskDepthMax: 3,
  taskSecondsMax: 86_400,
  taskTokenSecondsMax: 600,
  passConcurrency: 4,
  claimBatch: 64,
};

/** The HTTP API over the real core, policies and identities; ledger and backend in memory. */
export interface BrokerBench {
  readonly app: ReturnType<typeof createApp>;
  readonly core: Core;
  readonly admission: Admission;
  readonly sourcePace: SourcePace;
  readonly clientAddress: ClientAddress;
  readonly clock: FakeClock;
  readonly log: RecordingLog;
  readonly ledger: MemoryLedger;
  readonly upstream: FakeUpstream;
  readonly identities: TestIdentities;
  readonly issuer: string;
  /** A call in process. A body that is no text is sent as JSON. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** As the bootstrap administrator. */
  admin(method: string, path: string, body?: unknown): Promise<Answer>;
  context(): CallContext;
  /** As the broker's timer does. */
  rotateKeys(): Promise<void>;
  readonly backendId: BackendId;
}
export interface CallOptions {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Null where the text is no JSON. */
  readonly body: unknown;
}

export interface BenchOptions {
  readonly issuer?: string;
  readonly settings?: Partial<CoreSettings>;
  /** Default true: trust, backend, roles and policies of `registered.ts`. */
  readonly registered?: boolean;
  readonly seed?: string;
  /** Of the fake backend's type. */
  readonly capabilities?: Partial<BackendCapabilities>;
  /** Backend types beside the fake one. Default: none. */
  readonly types?: readonly CredentialBackend[];
  /** Where the core may be held between two steps. Default: nowhere. */
  readonly failPoints?: FailPoints;
  /** Default: false. */
  readonly dpopNonces?: boolean;
  /** Default: no source is paced. */
  readonly sourcePace?: SourcePace;
  /** Whose word of the client's address counts (`X-Forwarded-For`). Default: nobody's. */
  readonly proxies?: readonly AddressRange[];
  /** Default: false. */
  readonly certificateBoundTokens?: boolean;
  /** What each request is taken to have shown by mTLS. */
  readonly peerCertificates?: AppPorts["peerCertificates"];
  /** Default: ready. */
  readonly readiness?: AppPorts["readiness"];
}

export async function createBrokerBench(options: BenchOptions = {}): Promise<BrokerBench> {
  const issuer = options.issuer ?? ISSUER;
  const clock = createFakeClock();
  const random = seededRandom(options.seed ?? "broker-bench");
  const log = createRecordingLog();
  const ledger = createMemoryLedger(clock);
  const upstream = new FakeUpstream({ clock });
  const sealer = createFakeSealer();
  const tokenOptions = {
    issuer,
    store: ledger.signingKeys,
    sealer,
    clock,
    random,
    settings: { ...defaultTaskTokensSettings, skewSeconds: 1 },
  };
  const taskTokens = createTaskTokens(tokenOptions);
  await taskTokens.rotate(clock.now());
  const trustRoots = createTrustRoots({
    http: createFakeOutboundHttp(),
    issuer,
    settings: { skewSeconds: 1, verifiedTokensMax: 100 },
    log,
  });
  const fake = createFakeBackend({ upstream, capabilities: options.capabilities ?? {} });
  const core = createCore({
    clock,
    random,
    log,
    tracer: untraced,
    failPoints: options.failPoints ?? { reached: async () => undefined },
    installation: parseInstallationId("testtest", "installation"),
    ...ledgerPorts(ledger),
    sealer,
    alarm: createFakeAlarmClock(clock),
    trustRoots,
    taskTokens,
    apis: noOutboundApis,
    backendKeys: (id) => createBackendKeys(keyOptionsOf(tokenOptions, ledger, id)),
    policyCompiler: createPolicyCompiler(),
    backendTypes: new Map([fake, ...(options.types ?? [])].map((type) => [type.type, type])),
    settings: { ...SETTINGS, issuer, ...options.settings },
  });
  const ports: AppPorts = {
    core,
    tasks: ledger.tasks,
    queries: ledger.queries,
    selectorEnds: ledger.selectorEnds,
    sequencer: ledger.sequencer,
    exporter: ledger.exporter,
    taskTokens,
    signingKeys: createSigningKeyAdministration(tokenOptions),
    backendSigningKeys: (id) =>
      createBackendKeyAdministration(keyOptionsOf(tokenOptions, ledger, id)),
    dpop: benchProofs(options, tokenOptions, ledger),
    sealing: createSealing({ sealed: createFakeSealedValues(), sealer }),
    clock,
    random,
    log,
    settings: { issuer, certificateBoundTokens: options.certificateBoundTokens ?? false },
    ...installedTypes([fake, ...(options.types ?? [])]),
    ...edgePorts(options, clock),
  };
  const bench = benchOf(ports, { clock, log, ledger, upstream, issuer });
  await ledger.sweep.recordSweep(null);
  if (options.registered ?? true) await registerDefaults(bench);
  return bench;
}

const installedTypes = (types: readonly CredentialBackend[]) => ({
  fileSchemas: fileSchemas(types),
  backendTypes: types,
});

const ledgerPorts = ({
  issue,
  tasks,
  selectorEnds,
  sweep,
  health,
  catalog,
  ...ofBackends
}: MemoryLedger) => ({
  issueLedger: issue,
  taskLedger: tasks,
  selectorEnds,
  sweepLedger: sweep,
  health,
  catalog,
  backendBudget: (id: BackendId) => ofBackends.backendBudgets.of(id),
  backendNames: (id: BackendId) => ofBackends.backendNames.of(id),
  backendSlots: (id: BackendId) => ofBackends.backendSlots.of(id),
});

const keyOptionsOf = (
  shared: TaskTokensOptions,
  { backendKeys }: MemoryLedger,
  backendId: BackendId,
): BackendKeysOptions => ({
  ...shared,
  backendId,
  store: backendKeys.of(backendId),
  settings: { ...shared.settings, tokenSecondsMax: 1200 },
});

const benchProofs = (
  { dpopNonces = false }: BenchOptions,
  { issuer, sealer }: Pick<DpopProofsOptions, "issuer" | "sealer">,
  { proofUses: uses }: MemoryLedger,
): DpopProofs => {
  const settings = { skewSeconds: 1, nonceRequired: dpopNonces };
  return createDpopProofs({ issuer, uses, sealer, settings });
};

/** What stands around the application: the server in front of it, who administers, who watches. */
const edgePorts = (
  { readiness, peerCertificates, sourcePace, proxies }: BenchOptions,
  clock: FakeClock,
) => ({
  sourcePace: sourcePace ?? unpaced,
  admission: createAdmission(clock),
  administrators: bootstrapAdministrators(async () =>
    createHash("sha256").update(ADMIN_TOKEN).digest("hex"),
  ),
  tracer: untraced,
  meter: unmetered,
  setUp: {
    unsafeSettings: ["MAYFLY_UNSAFE_QUARANTINE_SECONDS"],
    sweepIntervalSeconds: 10,
    listingIntervalSeconds: 60,
  },
  clientAddress: createClientAddress({
    trustedProxies: proxies ?? [],
    trustedProxyHeader: "x-forwarded-for",
  }),
  peerCertificates: peerCertificates ?? ((): null => null),
  afterwork: createAfterwork(),
  isStopping: () => false,
  readiness: readiness ?? (async () => []),
});

function benchOf(
  ports: AppPorts,
  rest: Pick<BrokerBench, "clock" | "log" | "ledger" | "upstream" | "issuer">,
): BrokerBench {
  const app = createApp(ports);
  checkAnswers(app);
  const call: BrokerBench["call"] = async (method, path, options = {}) => {
    const { token, headers, body } = options;
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const response = await app.request(`${rest.issuer}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(text === undefined ? {} : { body: text }),
    });
    return answerOf(response);
  };
  return {
    ...rest,
    app,
    core: ports.core,
    admission: ports.admission,
    sourcePace: ports.sourcePace,
    clientAddress: ports.clientAddress,
    identities: createTestIdentities(rest.clock, rest.issuer),
    call,
    admin: (method, path, body) =>
      call(method, path, { token: ADMIN_TOKEN, ...(body === undefined ? {} : { body }) }),
    rotateKeys: () => ports.taskTokens.rotate(rest.clock.now()),
    backendId: parseBackendId("orders-db", "backend"),
    context: () => ({ clock: rest.clock, signal: new AbortController().signal, traceId: "bench" }),
  };
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: jsonOf(text) };
}

function jsonOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return null;
  }
}
