import type {
  AlarmClock,
  BackendBudget,
  BackendId,
  BackendKeys,
  BackendNames,
  BackendSlots,
  Catalog,
  Clock,
  CredentialBackend,
  FailPoints,
  InstallationId,
  IssueLedger,
  IssuingHealth,
  Log,
  OutboundApis,
  PolicyCompiler,
  Random,
  Sealer,
  SelectorEndLedger,
  SweepLedger,
  TaskLedger,
  TaskTokens,
  Tracer,
  TrustRoots,
} from "@mayfly/spec";
import type { CoreSettings } from "./settings.ts";

/** All that the core touches. Which adapters stand behind it only a service's compose.ts knows. */
export interface CorePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tracer: Tracer;
  readonly failPoints: FailPoints;
  readonly installation: InstallationId;
  readonly issueLedger: IssueLedger;
  readonly taskLedger: TaskLedger;
  readonly selectorEnds: SelectorEndLedger;
  readonly sweepLedger: SweepLedger;
  readonly health: IssuingHealth;
  readonly catalog: Catalog;
  readonly sealer: Sealer;
  readonly alarm: AlarmClock;
  readonly trustRoots: TrustRoots;
  readonly taskTokens: TaskTokens;
  /** What backends reach their upstreams' HTTP APIs by. */
  readonly apis: OutboundApis;
  /** Keys of one backend, for a type that signs what it issues. */
  backendKeys(id: BackendId): BackendKeys;
  /** What all processes may ask of one backend together, where its configuration has a rate. */
  backendBudget(id: BackendId): BackendBudget;
  /** Names that one backend gave out, for a type whose upstream keeps none. */
  backendNames(id: BackendId): BackendNames;
  /** Who has which principal of a backend, for a type that uses them again. */
  backendSlots(id: BackendId): BackendSlots;
  readonly policyCompiler: PolicyCompiler;
  /** By `type`. */
  readonly backendTypes: ReadonlyMap<string, CredentialBackend>;
  readonly settings: CoreSettings;
}
