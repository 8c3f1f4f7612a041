import type {
  BackendBudgetStores,
  BackendKeyStores,
  BackendNameStores,
  BackendSlotStores,
  BundleSequences,
  Catalog,
  Clock,
  IssueLedger,
  IssuingHealth,
  Lease,
  LeaseId,
  LedgerEvent,
  LedgerQueries,
  LogExporter,
  LogSequencer,
  ProofUses,
  SelectorEndLedger,
  SigningKeyStore,
  SweepLedger,
  Task,
  TaskId,
  TaskLedger,
} from "@mayfly/spec";
import { createMemoryBudgetStores } from "./backend-budget.ts";
import { createMemoryNameStores } from "./backend-names.ts";
import { createMemorySlotStores } from "./backend-slots.ts";
import { createMemoryCatalog } from "./catalog.ts";
import type { MemoryLedgerFaults } from "./faults.ts";
import { createIssueLedger } from "./issue-ledger.ts";
import { createMemoryLog } from "./memory-log.ts";
import { createProofUses } from "./proof-uses.ts";
import { createQueries } from "./queries.ts";
import { createSelectorEnds } from "./selector-ends.ts";
import { createSecurityQueries } from "./security-queries.ts";
import { createBackendKeyStores, createSigningKeys } from "./signing-keys.ts";
import { createStore, leaseOf, taskOf, type LeaseRow } from "./store.ts";
import { createIssuingHealth, createSweepLedger } from "./sweep-ledger.ts";
import { createTaskLedger } from "./task-ledger.ts";

/** A ledger in memory, all of its ports over one store, on the clock that it is given. */
export interface MemoryLedger {
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
  readonly faults: MemoryLedgerFaults;
  /** What a test asserts on: looks past the faults, at once. */
  readonly inspect: {
    leases(): readonly Lease[];
    lease(id: LeaseId): Lease | null;
    task(id: TaskId): Task | null;
    /** What `activate` compares, and what it wrote. */
    row(id: LeaseId): Pick<LeaseRow, "state" | "version" | "sealedHandle" | "isUnsettled"> | null;
    /** How much there is that is not ended. */
    open(): { readonly leases: number; readonly tasks: number; readonly selectorEnds: number };
    tasks(): readonly Task[];
    events(): readonly LedgerEvent[];
  };
}

/**
 * The ledger's fake: passes the ledger contract suite like the real one. Outlives a "process" of a
 * test as a server does: give the next core the same one.
 */
export function createMemoryLedger(clock: Clock): MemoryLedger {
  const store = createStore(clock);
  return {
    issue: createIssueLedger(store),
    tasks: createTaskLedger(store),
    sweep: createSweepLedger(store),
    health: createIssuingHealth(store),
    ...createMemoryLog(store),
    selectorEnds: createSelectorEnds(store),
    queries: { ...createQueries(store), ...createSecurityQueries(store) },
    catalog: createMemoryCatalog(store),
    signingKeys: createSigningKeys(store),
    backendKeys: createBackendKeyStores(store),
    backendBudgets: createMemoryBudgetStores(clock, store.gate),
    backendNames: createMemoryNameStores(clock),
    backendSlots: createMemorySlotStores(store),
    proofUses: createProofUses(clock),
    bundleSequences: store.bundleSequences,
    faults: store.gate,
    inspect: {
      leases: () => [...store.leases.values()].map((row) => leaseOf(store, row)),
      lease: (id) => {
        const row = store.leases.get(id);
        return row === undefined ? null : leaseOf(store, row);
      },
      task: (id) => {
        const row = store.tasks.get(id);
        return row === undefined ? null : taskOf(store, row);
      },
      row: (id) => store.leases.get(id) ?? null,
      open: () => ({
        leases: store.live.size,
        tasks: store.activeTasks.size,
        selectorEnds: [...store.selectorEnds.values()].filter(({ end }) => end.finishedAt === null)
          .length,
      }),
      tasks: () => [...store.tasks.values()].map((row) => taskOf(store, row)),
      events: () => [...store.events],
    },
  };
}
