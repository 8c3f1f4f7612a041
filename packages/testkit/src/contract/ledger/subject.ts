import type {
  BackendBudgetStores,
  BackendKeyStores,
  BackendNameStores,
  BackendSlotStores,
  BundleSequences,
  Catalog,
  InstantMs,
  IssueLedger,
  IssuingHealth,
  LedgerQueries,
  LogSequencer,
  ProofUses,
  SelectorEndLedger,
  SigningKeyStore,
  SweepLedger,
  TaskLedger,
} from "@mayfly/spec";

/** A ledger under test: all of its ports, as the processes that use them would hold them. */
export interface LedgerUnderTest {
  readonly issue: IssueLedger;
  readonly tasks: TaskLedger;
  readonly sweep: SweepLedger;
  readonly health: IssuingHealth;
  readonly sequencer: LogSequencer;
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
  /** What the ledger's clock shows, to within some milliseconds. */
  now(): InstantMs;
  /** Lets `ms` pass by the ledger's clock: really, where that clock is real. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** How the contract suite makes a ledger: new and empty, with all migrations applied. */
export interface LedgerContractSubject {
  readonly name: string;
  create(): Promise<LedgerUnderTest>;
}
