import type { Background } from "./background.ts";
import type { CatalogCache } from "./catalog/catalog-cache.ts";
import type { OpenBackends } from "./catalog/open-backends.ts";
import type { IssuePlaces } from "./exchange/issue-places.ts";
import type { WorkloadPace } from "./exchange/workload-pace.ts";
import type { IssuingGate } from "./issuing-gate.ts";
import type { CorePorts } from "./ports.ts";
import type { GuessPace } from "./register/guess-pace.ts";

/** The ports, and what the core keeps in a process between calls: nothing that must survive it. */
export interface CoreParts {
  readonly ports: CorePorts;
  readonly catalog: CatalogCache;
  readonly openBackends: OpenBackends;
  readonly gate: IssuingGate;
  readonly issuePlaces: IssuePlaces;
  readonly workloadPace: WorkloadPace;
  readonly background: Background;
  readonly guessPace: GuessPace;
}
