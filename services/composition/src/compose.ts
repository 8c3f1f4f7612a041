import { createCore, createSealing, type Core, type Sealing } from "@mayfly/core";
import {
  configuredFailPoints,
  createJsonLog,
  inertFailPoints,
  systemClock,
  systemRandom,
} from "@mayfly/host";
import {
  createBackendKeyAdministration,
  createBackendKeys,
  createDpopProofs,
  createSigningKeyAdministration,
  createTaskTokens,
  createTrustRoots,
  defaultTaskTokensSettings,
  defaultTrustRootsSettings,
  type BackendKeysOptions,
} from "@mayfly/identity";
import { createOutboundApis, createOutboundHttp } from "@mayfly/net";
import { createPolicyCompiler } from "@mayfly/policy";
import { checkServer, openLedger, type Ledger, type LedgerConnections } from "@mayfly/postgres";
import { createAlarmClock, createAlarmListener } from "@mayfly/queue";
import { createSealer, readKeyRing, type KeyRing } from "@mayfly/seal";
import { unsafeSettings, type SharedSettings } from "@mayfly/settings";
import {
  BrokerError,
  type AlarmListener,
  type BackendId,
  type Clock,
  type CredentialBackend,
  type DpopProofs,
  type FailPoints,
  type Log,
  type Random,
  type Sealer,
  type TokenReviews,
  type SigningKeyAdministration,
  type TaskTokens,
  type Tracer,
  type WorkloadApi,
} from "@mayfly/spec";
import type { Metrics } from "@mayfly/telemetry";
import { createWorkloadApi } from "@mayfly/workload-api";
import { backendTypes } from "./backend-types.ts";
import { coreSettings } from "./core-settings.ts";
import { observers } from "./observed/observers.ts";
import { openTelemetry, type Telemetry } from "./open-telemetry.ts";
import { openTokenReviews } from "./open-token-reviews.ts";
import { queueConfig } from "./queue-config.ts";

/** What a process is made of, whichever of the two it is. */
export interface Parts {
  readonly core: Core;
  readonly ledger: Ledger;
  readonly taskTokens: TaskTokens;
  readonly signingKeys: SigningKeyAdministration;
  /** Of a backend that signs what it issues. */
  backendSigningKeys(id: BackendId): SigningKeyAdministration;
  readonly sealing: Sealing;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tracer: Tracer;
  /** Names of settings in force that weaken a guarantee. */
  readonly unsafeSettings: readonly string[];
  /** Null where nobody asked for them. */
  readonly metrics: Metrics | null;
  /** Null where MAYFLY_WORKLOAD_API names no agent. */
  readonly workloadApi: WorkloadApi | null;
  /** The broker's check of DPoP proofs; with `nonceRequired`, each must bear a nonce. */
  dpopProofs(nonceRequired: boolean): DpopProofs;
  /** The worker's end of the queue. */
  listenToAlarms(): AlarmListener;
  /** Closes backends, queue and ledger, in this order. */
  close(): Promise<void>;
}

export interface ProcessOptions {
  readonly name: "broker" | "worker";
  /** Where the log's lines go. */
  readonly logTo: { write(line: string): unknown };
}

/** Composes the core with its adapters. Only here are they known. */
export async function composeParts(
  settings: SharedSettings,
  options: ProcessOptions,
): Promise<Parts> {
  const telemetry = await openTelemetry(settings, options.name, (scope) =>
    createJsonLog({
      stream: options.logTo,
      level: settings.logLevel,
      clock: systemClock,
      fields: { service: options.name },
      currentTrace: () => scope.current(),
    }),
  );
  const { log } = telemetry;
  for (const name of unsafeSettings(settings)) log.warn("unsafe setting", { name });
  const ledger = await openLedger({
    url: settings.databaseUrl.expose("upstream"),
    applicationName: `mayfly-${options.name}`,
    connections: connectionsOf(settings.databaseConnections),
    sweepIntervalSeconds: settings.sweepIntervalSeconds,
    clock: systemClock,
    random: systemRandom,
    log,
  });
  try {
    checkInstallation(settings, ledger.installation.id);
    await warnOfServer(settings, systemClock, log);
    const keys = await readSealingKeys(settings);
    telemetry.metrics?.set("mayfly_sealing_keys", {}, keys.sealing.length);
    const sealer = createSealer({ keys, random: systemRandom });
    const tokenReviews = await openTokenReviews(settings.kubernetesClustersFile);
    const { reviews } = tokenReviews;
    const parts = partsOver(ledger, settings, { sealer, log, telemetry, reviews });
    telemetry.watchLedger(ledger);
    await telemetry.serve();
    return {
      ...parts,
      close: async () => {
        await parts.close();
        await tokenReviews.close();
      },
    };
  } catch (error) {
    await telemetry.close();
    await ledger.close();
    throw error;
  }
}

interface Shared {
  readonly sealer: Sealer;
  readonly log: Log;
  readonly telemetry: Telemetry;
  readonly reviews: TokenReviews;
}

function partsOver(
  opened: Ledger,
  settings: SharedSettings,
  { sealer, log, telemetry, reviews }: Shared,
): Parts {
  const observe = observers(telemetry.observing);
  const ledger = observe.ledger(opened);
  const [clock, random] = [systemClock, systemRandom];
  const [queue, http] = [queueConfig(settings, ledger.installation.id), createOutboundHttp()];
  const tokenOptions = tokenOptionsOf(ledger, settings, sealer);
  const taskTokens = createTaskTokens(tokenOptions);
  const keyOptions = (id: BackendId) => backendKeyOptions(tokenOptions, ledger, id);
  const workloadApi = workloadApiOf(settings, { clock, log });
  const trustRoots = createTrustRoots({
    http: observe.http(http),
    workloadApi,
    issuer: settings.issuer,
    settings: { ...defaultTrustRootsSettings, skewSeconds: settings.unsafeClockSkewSeconds },
    sequences: ledger.bundleSequences,
    reviews,
    log,
  });
  const alarm = createAlarmClock({ config: queue, ports: { clock, log, random } });
  const unobserved = createCore({
    clock,
    random,
    log,
    tracer: telemetry.tracer,
    failPoints: failPointsOf(settings),
    installation: ledger.installation.id,
    ...ledgerPorts(ledger),
    sealer,
    alarm: observe.alarm(alarm),
    trustRoots,
    taskTokens,
    apis: createOutboundApis(),
    backendKeys: (backendId) => createBackendKeys(keyOptions(backendId)),
    policyCompiler: createPolicyCompiler(),
    backendTypes: typesBy(observe),
    settings: coreSettings(settings),
  });
  const core = observe.core(unobserved);
  return {
    core,
    ledger,
    taskTokens,
    ...administrationOf(tokenOptions, keyOptions),
    sealing: createSealing({ sealed: ledger.sealed, sealer }),
    clock,
    random,
    log,
    tracer: telemetry.tracer,
    metrics: telemetry.metrics,
    workloadApi,
    unsafeSettings: unsafeSettings(settings),
    dpopProofs: (nonceRequired) => dpopProofs(ledger, settings, sealer, nonceRequired),
    listenToAlarms: () =>
      observe.listener(createAlarmListener({ config: queue, ports: { clock, log } })),
    close: async () => {
      // Wake-ups that the core began need the queue.
      await core.close();
      await alarm.close();
      await Promise.all([http.close(), workloadApi?.close()]);
      await ledger.close();
      await telemetry.close();
    },
  };
}

const typesBy = (observe: ReturnType<typeof observers>): ReadonlyMap<string, CredentialBackend> =>
  new Map(backendTypes(observe.limits).map((each) => [each.type, observe.backend(each)]));

const tokenOptionsOf = (
  { signingKeys: store }: Ledger,
  { issuer, unsafeClockSkewSeconds: skewSeconds }: SharedSettings,
  sealer: Sealer,
) => ({
  issuer,
  store,
  sealer,
  clock: systemClock,
  random: systemRandom,
  settings: { ...defaultTaskTokensSettings, skewSeconds },
});

const administrationOf = (
  tokenOptions: ReturnType<typeof tokenOptionsOf>,
  keyOptions: (id: BackendId) => BackendKeysOptions,
): Pick<Parts, "signingKeys" | "backendSigningKeys"> => ({
  signingKeys: createSigningKeyAdministration(tokenOptions),
  backendSigningKeys: (id) => createBackendKeyAdministration(keyOptions(id)),
});

/** The longest life of what a backend signs itself, and of a verifier's leeway after it. */
const BACKEND_TOKEN_SECONDS_MAX = 900 + 300;

const backendKeyOptions = (
  shared: ReturnType<typeof tokenOptionsOf>,
  { backendKeys }: Ledger,
  backendId: BackendId,
) => ({
  ...shared,
  backendId,
  store: backendKeys.of(backendId),
  settings: { ...shared.settings, tokenSecondsMax: BACKEND_TOKEN_SECONDS_MAX },
});

function workloadApiOf(
  { workloadApi: socket }: SharedSettings,
  ports: { readonly clock: Clock; readonly log: Log },
): WorkloadApi | null {
  if (socket === null) return null;
  try {
    return createWorkloadApi({ socket, ...ports });
  } catch (error) {
    if (!BrokerError.is(error)) throw error;
    throw new BrokerError(error.code, `MAYFLY_WORKLOAD_API: ${error.message}`);
  }
}

const dpopProofs = (
  { proofUses: uses }: Ledger,
  { issuer, unsafeClockSkewSeconds: skewSeconds }: SharedSettings,
  sealer: Sealer,
  nonceRequired: boolean,
): DpopProofs =>
  createDpopProofs({ issuer, uses, sealer, settings: { skewSeconds, nonceRequired } });

const ledgerPorts = ({
  issue,
  tasks,
  sweep,
  selectorEnds,
  health,
  catalog,
  backendBudgets,
  backendNames,
  backendSlots,
}: Ledger) => ({
  issueLedger: issue,
  taskLedger: tasks,
  sweepLedger: sweep,
  selectorEnds,
  health,
  catalog,
  backendBudget: (id: BackendId) => backendBudgets.of(id),
  backendNames: (id: BackendId) => backendNames.of(id),
  backendSlots: (id: BackendId) => backendSlots.of(id),
});

/** Over another installation's ledger, our tags and names would be a stranger's. */
function checkInstallation(settings: SharedSettings, found: string): void {
  if (settings.installation === null || settings.installation === found) return;
  throw new BrokerError(
    "config_invalid",
    `MAYFLY_INSTALLATION: it names ${settings.installation}, and the ledger is of ${found}. ` +
      "Point MAYFLY_DATABASE_URL at the right ledger, or correct the id.",
  );
}

/** A ledger that may lose an acknowledged commit voids the guarantees: said at each start. */
async function warnOfServer(settings: SharedSettings, clock: Clock, log: Log): Promise<void> {
  const { problems } = await checkServer({ url: settings.databaseUrl.expose("upstream"), clock });
  for (const problem of problems) log.warn("ledger server problem", { ...problem });
}

/** Group commits need one for each stage and some for what waits alone; the rest is shared. */
function connectionsOf(total: number): LedgerConnections {
  const commits = Math.max(4, Math.ceil(total * 0.4));
  const queries = Math.max(2, Math.floor(total * 0.2));
  return { commits, queries, statements: Math.max(4, total - commits - queries) };
}

function readSealingKeys({ sealingKeyFile, sealingKeys }: SharedSettings): Promise<KeyRing> {
  if (sealingKeyFile !== null) return readKeyRing({ file: sealingKeyFile });
  if (sealingKeys !== null) return readKeyRing({ value: sealingKeys });
  throw new BrokerError("config_invalid", "MAYFLY_SEALING_KEY_FILE: it is required.");
}

const failPointsOf = (settings: SharedSettings): FailPoints =>
  settings.unsafeFailPoint === null
    ? inertFailPoints
    : configuredFailPoints(settings.unsafeFailPoint);
