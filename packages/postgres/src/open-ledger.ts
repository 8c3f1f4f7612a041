import { drizzle } from "drizzle-orm/postgres-js";
import {
  durationSeconds,
  type BackendBudgetStores,
  type BackendId,
  type BackendKeyStores,
  type BackendNameStores,
  type BackendSlotStores,
  type BundleSequences,
  type Catalog,
  type Clock,
  type IssueLedger,
  type IssuingHealth,
  type LedgerQueries,
  type Log,
  type LogExporter,
  type LogSequencer,
  type ProofUses,
  type Random,
  type SelectorEndLedger,
  type SealedValues,
  type SigningKeyStore,
  type SweepLedger,
  type TaskLedger,
} from "@mayfly/spec";
import { createActivate } from "./activate.ts";
import { adoptOrphans, readClock } from "./adopt-orphans.ts";
import { appendLog } from "./append-log.ts";
import { applyEnd } from "./apply-end.ts";
import { readChecks, recordCheck } from "./backend-checks.ts";
import { backendBudget } from "./backend-budget.ts";
import { backendNames } from "./backend-names.ts";
import { backendSlots } from "./backend-slots.ts";
import { selectBootstrapTokenSha256 } from "./bootstrap-token.ts";
import { countPolicyUse } from "./count-policy-use.ts";
import { newestBundleSequence, noteBundleSequence } from "./bundle-sequences.ts";
import { deleteBackend, putBackend, setBackendEnabled } from "./catalog-backends.ts";
import { activatePolicies, readPolicyHistory, readPolicySources } from "./catalog-policies.ts";
import { readBackendAt, readCatalog, readCatalogVersion } from "./catalog-reads.ts";
import {
  deleteResourceServer,
  putResourceServer,
  setResourceServerEnabled,
} from "./catalog-resource-servers.ts";
import { deleteRole, putRole, setRoleEnabled } from "./catalog-roles.ts";
import { deleteTrustRoot, putTrustRoot, setTrustRootEnabled } from "./catalog-trust-roots.ts";
import { abandon, checkpoint } from "./checkpoint.ts";
import { createWriteCheck } from "./check-writes.ts";
import { claim, dueBackends } from "./claim.ts";
import { DUE_TASKS_MAX, dueTasks } from "./due-tasks.ts";
import { endLease } from "./end-lease.ts";
import { endedLeases } from "./ended-leases.ts";
import { endStrays } from "./end-strays.ts";
import { findLease, leasesBelow } from "./find-lease.ts";
import { findTask } from "./find-task.ts";
import { heartbeat } from "./heartbeat.ts";
import { initiatorActors } from "./initiator-actors.ts";
import { selectInstallation, type Installation } from "./installation.ts";
import { readIssuingHealth, recordSweep } from "./issuing-health.ts";
import { createLedgerClock, type LedgerClock } from "./ledger-clock.ts";
import { createLogExporter } from "./log-exporter.ts";
import { migrationsDirectory, readMigrations } from "./migration-files.ts";
import { createRecordProofUse } from "./proof-uses.ts";
import { recordTokenUse } from "./token-uses.ts";
import { queryCounts } from "./query-counts.ts";
import { queryTaskChain } from "./query-task-chain.ts";
import { queryDecision, queryEvents, queryLeases, queryTasks, type Database } from "./queries.ts";
import { readIdempotent } from "./read-idempotent.ts";
import { createRecordDenial } from "./record-denial.ts";
import { recordRenewal } from "./record-renewal.ts";
import { securityQueries } from "./security-queries.ts";
import { selectorEndLedger } from "./selector-ends.ts";
import { requestEnd } from "./request-end.ts";
import { createReserve } from "./reserve.ts";
import { withRetries, type RetryPorts } from "./retry.ts";
import { checkCurrent, readableSchema, readApplied } from "./schema-version.ts";
import { createSettle } from "./settle.ts";
import { readSealedPage, replaceSealed } from "./sealed-values.ts";
import { addBackendKey, listBackendKeys, retireBackendKey } from "./backend-signing-keys.ts";
import { addSigningKey, listSigningKeys, retireSigningKey } from "./signing-keys.ts";
import {
  connect,
  CONNECTION_LIMITS,
  databaseRoleOf,
  type ConnectionLimits,
  type Sql,
} from "./sql.ts";
import { createHourlyUpkeep, createUpkeep, type Upkeep } from "./upkeep.ts";
import { verifyLog } from "./verify-log.ts";
import { createWorkRefusals } from "./work-refusals.ts";

export interface LedgerOptions {
  /**
   * As `mayfly_broker` or `mayfly_worker`: each may do what its process needs, and no more. As
   * `mayfly_auditor` the log can be verified, and nothing else.
   */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  /** How often sweeps come; a gap of more than two of these in the ledger's clock is an outage. */
  readonly sweepIntervalSeconds?: number;
  readonly connections?: LedgerConnections;
  readonly limits?: Partial<ConnectionLimits>;
}

/** The most connections of each pool; they are opened when first needed. */
export interface LedgerConnections {
  /** Group commits: one for each stage and four for requests that wait alone. */
  readonly commits: number;
  readonly statements: number;
  readonly queries: number;
}
const CONNECTIONS: LedgerConnections = { commits: 8, statements: 8, queries: 4 };
const SWEEP_INTERVAL_SECONDS = 10;
/** A long log takes its time. */
const VERIFY_MS = 10 * 60_000;

export interface Ledger {
  readonly issue: IssueLedger;
  readonly tasks: TaskLedger;
  readonly sweep: SweepLedger;
  readonly health: IssuingHealth;
  readonly sequencer: LogSequencer;
  readonly exporter: LogExporter;
  readonly queries: LedgerQueries;
  readonly selectorEnds: SelectorEndLedger;
  readonly catalog: Catalog;
  readonly signingKeys: SigningKeyStore;
  readonly backendKeys: BackendKeyStores;
  readonly backendBudgets: BackendBudgetStores;
  readonly backendNames: BackendNameStores;
  readonly backendSlots: BackendSlotStores;
  readonly proofUses: ProofUses;
  readonly bundleSequences: BundleSequences;
  readonly sealed: SealedValues;
  /** Runs by itself with the sweep, at most once an hour; needs the worker's rights. */
  readonly upkeep: Upkeep;
  readonly installation: Installation;
  /**
   * Throws `config_invalid` when the schema is one that this version works with no more, and
   * `ledger_unavailable`.
   */
  checkSchema(): Promise<void>;
  /** Throws `ledger_unavailable` when the ledger refuses work, though it may well answer. */
  checkWrites(): Promise<void>;
  /** Hex SHA-256 of the bootstrap administrator's token; null before one was made. */
  bootstrapTokenSha256(): Promise<string | null>;
  /** Lets what is under way finish, then closes all connections; every later call rejects. */
  close(): Promise<void>;
}

interface Parts {
  readonly ports: RetryPorts;
  readonly commits: Sql;
  readonly statements: Sql;
  readonly db: Database;
  readonly ledgerClock: LedgerClock;
}

interface OpenedSchema {
  readonly installation: Installation;
  readonly version: number;
}

/**
 * Opens a migrated ledger. Throws `config_invalid` when its schema is not the one that this version
 * works with, `ledger_unavailable` when it cannot be reached.
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { clock, random, log, url, applicationName } = options;
  const max = options.connections ?? CONNECTIONS;
  const limits = { ...CONNECTION_LIMITS, ...options.limits };
  const byIndex = { ...limits, alwaysByIndex: true } as const;
  const statements = connect(url, applicationName, max.statements, byIndex);
  const refusals = createWorkRefusals(clock);
  const looks = { clock, random, callMs: limits.callMs, databaseRole: databaseRoleOf(url) };
  const ports = { ...looks, refusals };
  const opened = await withRetries(ports, () => checkSchema(statements)).catch(
    async (error: unknown) => {
      await statements.end({ timeout: 1 });
      throw error;
    },
  );
  const commits = connect(url, applicationName, max.commits, {
    ...byIndex,
    plansOnce: true,
  });
  // Drizzle changes the parsers of the client that it is given, so it has one of its own.
  const queries = connect(url, applicationName, max.queries, byIndex);
  const db = drizzle(queries);
  const ledgerClock = createLedgerClock(
    clock,
    options.sweepIntervalSeconds ?? SWEEP_INTERVAL_SECONDS,
  );
  const parts: Parts = { ports, commits, statements, db, ledgerClock };
  const issuing = issueLedger(parts);
  const sweeping = sweepLedger(parts, log);
  return {
    issue: issuing.ledger,
    tasks: taskLedger(parts),
    sweep: sweeping.ledger,
    health: {
      read: (backendId) => withRetries(ports, () => readIssuingHealth(statements, backendId)),
    },
    sequencer: {
      append: (limit) => withRetries(ports, () => appendLog(statements, limit, log)),
      verify: (from) =>
        withRetries({ ...ports, callMs: VERIFY_MS }, () => verifyLog(statements, from, VERIFY_MS)),
      countPolicyUse: (limit) => withRetries(ports, () => countPolicyUse(statements, limit)),
    },
    exporter: createLogExporter(statements, ports, opened),
    queries: ledgerQueries(parts),
    selectorEnds: selectorEndLedger(ports, statements),
    catalog: catalogOf(parts),
    signingKeys: signingKeyStore(parts),
    backendKeys: { of: (backendId) => backendKeyStore(parts, backendId) },
    ...storesOfBackends(ports, statements),
    bundleSequences: bundleSequencesOf(parts),
    proofUses: issuing.proofUses,
    sealed: {
      page: (after, limit) => withRetries(ports, () => readSealedPage(statements, after, limit)),
      replace: (...resealed) => withRetries(ports, () => replaceSealed(statements, ...resealed)),
    },
    upkeep: sweeping.upkeep,
    installation: opened.installation,
    checkSchema: async () => {
      await withRetries(ports, () => checkSchema(statements));
    },
    checkWrites: createWriteCheck(looks, refusals, statements, () =>
      connect(url, applicationName, 1, limits),
    ),
    bootstrapTokenSha256: () => withRetries(ports, () => selectBootstrapTokenSha256(statements)),
    close: async () => {
      await Promise.all([issuing.idle(), sweeping.idle()]);
      await Promise.all([commits, statements, queries].map((sql) => sql.end({ timeout: 2 })));
    },
  };
}

const storesOfBackends = (
  ports: RetryPorts,
  sql: Sql,
): Pick<Ledger, "backendBudgets" | "backendNames" | "backendSlots"> => ({
  backendBudgets: { of: (backendId) => backendBudget(ports, sql, backendId) },
  backendNames: { of: (backendId) => backendNames(ports, sql, backendId) },
  backendSlots: { of: (backendId) => backendSlots(ports, sql, backendId) },
});

const bundleSequencesOf = ({ ports, statements: sql }: Parts): BundleSequences => ({
  note: (...seen) => withRetries(ports, () => noteBundleSequence(sql, ...seen)),
  newest: (source) => withRetries(ports, () => newestBundleSequence(sql, source)),
});

const signingKeyStore = ({ ports, statements }: Parts): SigningKeyStore => ({
  list: () => withRetries(ports, () => listSigningKeys(statements)),
  add: (...added) => withRetries(ports, () => addSigningKey(statements, ...added)),
  retire: (...retired) => withRetries(ports, () => retireSigningKey(statements, ...retired)),
});

const backendKeyStore = ({ ports, statements }: Parts, id: BackendId): SigningKeyStore => ({
  list: () => withRetries(ports, () => listBackendKeys(statements, id)),
  add: (...added) => withRetries(ports, () => addBackendKey(statements, id, ...added)),
  retire: (...retired) => withRetries(ports, () => retireBackendKey(statements, id, ...retired)),
});

async function checkSchema(sql: Sql): Promise<OpenedSchema> {
  const schema = await readableSchema(sql);
  const applied = await readApplied(sql, schema);
  checkCurrent(await readMigrations(migrationsDirectory()), applied);
  const installation = await selectInstallation(sql, schema);
  if (installation === null) throw new Error("the ledger has no installation");
  return { installation, version: applied.at(-1)?.version ?? 0 };
}

function issueLedger({ ports, commits, statements, ledgerClock }: Parts) {
  const reserve = createReserve(ports, commits, ledgerClock.intervalSeconds);
  const activate = createActivate(ports, commits, statements);
  const denials = createRecordDenial(ports, commits);
  const proofs = createRecordProofUse(ports, commits);
  const ledger: IssueLedger = {
    readIdempotent: (scope) => withRetries(ports, () => readIdempotent(statements, scope)),
    reserve: (reservation) => reserve.submit(reservation),
    checkpoint: (lease, handle) => withRetries(ports, () => checkpoint(statements, lease, handle)),
    activate: (lease, activation) => activate.activate({ lease, activation }),
    abandon: (lease, why) => withRetries(ports, () => abandon(statements, lease, why)),
    recordDenial: (denial) => denials.submit(denial),
    recordTokenUse: (oneTime) => withRetries(ports, () => recordTokenUse(statements, oneTime)),
    recordRenewal: (renewal) => withRetries(ports, () => recordRenewal(statements, renewal)),
  };
  const idle = async (): Promise<void> => {
    await Promise.all([reserve.idle(), activate.idle(), denials.idle(), proofs.idle()]);
  };
  const proofUses: ProofUses = { record: (use) => proofs.submit(use) };
  return { ledger, proofUses, idle };
}

function taskLedger({ ports, statements: sql, ledgerClock }: Parts): TaskLedger {
  return {
    find: (id) => withRetries(ports, () => findTask(sql, id)),
    initiatorActors: (rootId) => withRetries(ports, () => initiatorActors(sql, rootId)),
    heartbeat: (id, proof) =>
      withRetries(ports, async () => {
        // First, so that an outage before this heartbeat is not counted as after it.
        await ledgerClock.tickIfDue(sql);
        return heartbeat(sql, id, proof, ledgerClock.intervalSeconds);
      }),
    requestEnd: (end) => withRetries(ports, () => requestEnd(sql, end)),
    applyEnd: (id) => withRetries(ports, () => applyEnd(sql, id)),
    endLease: (...end) => withRetries(ports, () => endLease(sql, ...end)),
    leasesBelow: (id, limit) => withRetries(ports, () => leasesBelow(sql, id, limit)),
    lease: (id) => withRetries(ports, () => findLease(sql, id)),
    endedLeases: (id, wanted) => withRetries(ports, () => endedLeases(sql, id, wanted)),
  };
}

function sweepLedger({ ports, commits, statements: sql, ledgerClock }: Parts, log: Log) {
  const settle = createSettle(ports, commits);
  const upkeep = createUpkeep(sql);
  const hourly = createHourlyUpkeep(upkeep, ports.clock, log);
  const most = (limit: number): number => Math.min(limit, DUE_TASKS_MAX);
  const ledger: SweepLedger = {
    dueTasks: (limit) =>
      withRetries(ports, () => dueTasks(sql, most(limit), ledgerClock.intervalSeconds)),
    endStrays: (limit) => withRetries(ports, () => endStrays(sql, most(limit))),
    dueBackends: () => withRetries(ports, () => dueBackends(sql)),
    claim: (backendId, limit, seconds, from) =>
      withRetries(ports, () => claim(sql, backendId, limit, durationSeconds(seconds), from)),
    settle: (claimed, outcome) => settle.submit({ claim: claimed, outcome }),
    now: () => withRetries(ports, () => readClock(sql)),
    adoptOrphans: (backendId, marked, listedAt) =>
      withRetries(ports, () => adoptOrphans(sql, backendId, marked, listedAt)),
    recordSweep: async (backendId) => {
      await withRetries(ports, () => recordSweep(sql, ledgerClock, backendId));
      if (backendId === null) await hourly();
    },
  };
  return { ledger, upkeep, idle: () => settle.idle() };
}

function ledgerQueries({ ports, db, statements }: Parts): LedgerQueries {
  return {
    leases: (filter, page) => withRetries(ports, () => queryLeases(db, filter, page)),
    tasks: (filter, page) => withRetries(ports, () => queryTasks(db, filter, page)),
    events: (filter, page) => withRetries(ports, () => queryEvents(db, filter, page)),
    decision: (id) => withRetries(ports, () => queryDecision(db, id)),
    taskChain: (id) => withRetries(ports, () => queryTaskChain(db, id)),
    counts: () => withRetries(ports, () => queryCounts(statements)),
    ...securityQueries(ports, db, statements),
  };
}

function catalogOf({ ports, db, statements: sql }: Parts): Catalog {
  return {
    version: () => withRetries(ports, () => readCatalogVersion(db)),
    snapshot: () => withRetries(ports, () => readCatalog(db)),
    backendAt: (id, revision) => withRetries(ports, () => readBackendAt(db, id, revision)),
    putBackend: (...put) => withRetries(ports, () => putBackend(sql, ...put)),
    setBackendEnabled: (...set) => withRetries(ports, () => setBackendEnabled(sql, ...set)),
    deleteBackend: (...gone) => withRetries(ports, () => deleteBackend(sql, ...gone)),
    putRole: (...put) => withRetries(ports, () => putRole(sql, ...put)),
    setRoleEnabled: (...set) => withRetries(ports, () => setRoleEnabled(sql, ...set)),
    deleteRole: (...gone) => withRetries(ports, () => deleteRole(sql, ...gone)),
    putTrustRoot: (...put) => withRetries(ports, () => putTrustRoot(sql, ...put)),
    setTrustRootEnabled: (...set) => withRetries(ports, () => setTrustRootEnabled(sql, ...set)),
    deleteTrustRoot: (...gone) => withRetries(ports, () => deleteTrustRoot(sql, ...gone)),
    putResourceServer: (...put) => withRetries(ports, () => putResourceServer(sql, ...put)),
    setResourceServerEnabled: (...set) =>
      withRetries(ports, () => setResourceServerEnabled(sql, ...set)),
    deleteResourceServer: (...gone) => withRetries(ports, () => deleteResourceServer(sql, ...gone)),
    activatePolicies: (...put) => withRetries(ports, () => activatePolicies(sql, ...put)),
    policyHistory: (limit) => withRetries(ports, () => readPolicyHistory(sql, limit)),
    policySources: (digest) => withRetries(ports, () => readPolicySources(sql, digest)),
    recordCheck: (id, check) => withRetries(ports, () => recordCheck(sql, id, check)),
    checks: () => withRetries(ports, () => readChecks(sql)),
  };
}
