import type { Hono } from "hono";
import type { Core, Sealing } from "@mayfly/core";
import type {
  BackendId,
  CredentialBackend,
  DpopProofs,
  JsonSchema,
  LedgerQueries,
  LogExporter,
  LogSequencer,
  SelectorEndLedger,
  SigningKeyAdministration,
  TaskLedger,
  TaskTokens,
} from "@mayfly/spec";
import type { Administrators } from "../administrators.ts";
import type { Afterwork } from "./afterwork.ts";
import type { Env } from "./request-scope.ts";
import { administrationRoutes } from "./routes/administration.ts";
import { backendAuthorityRoutes } from "./routes/backend-authorities.ts";
import { backendIssuerRoutes } from "./routes/backend-issuers.ts";
import { diagnosisRoutes, type SetUp } from "./routes/diagnosis.ts";
import { explainRoutes } from "./routes/explain.ts";
import { healthRoutes, type ReadinessCheck } from "./routes/health.ts";
import { introspectionRoutes } from "./routes/introspection.ts";
import { keyRoutes } from "./routes/keys.ts";
import { leaseRoutes, ledgerRoutes } from "./routes/leases.ts";
import { ledgerExportRoutes } from "./routes/ledger-export.ts";
import { metadataRoutes } from "./routes/metadata.ts";
import { planRoutes } from "./routes/plan.ts";
import { referenceRoutes } from "./routes/reference.ts";
import { schemaRoutes } from "./routes/schemas.ts";
import { questionRoutes } from "./routes/questions.ts";
import { selectorEndRoutes } from "./routes/selector-ends.ts";
import { taskRoutes } from "./routes/tasks.ts";
import { tokenRoutes } from "./routes/token.ts";
import { traceRoutes } from "./routes/trace.ts";
import { createShell, type ShellPorts } from "./shell.ts";

export interface AppPorts extends ShellPorts {
  readonly core: Core;
  readonly tasks: TaskLedger;
  readonly queries: LedgerQueries;
  readonly selectorEnds: SelectorEndLedger;
  readonly sequencer: Pick<LogSequencer, "verify">;
  readonly exporter: LogExporter;
  readonly taskTokens: TaskTokens;
  readonly signingKeys: SigningKeyAdministration;
  backendSigningKeys(id: BackendId): SigningKeyAdministration;
  readonly sealing: Sealing;
  readonly dpop: DpopProofs;
  readonly administrators: Administrators;
  readonly setUp: SetUp;
  /** Of the files that platform teams write, by name: `backend.postgres.json`. */
  readonly fileSchemas: ReadonlyMap<string, JsonSchema>;
  /** Those that are installed. */
  readonly backendTypes: readonly CredentialBackend[];
  readonly afterwork: Pick<Afterwork, "track">;
  readiness(): Promise<readonly ReadinessCheck[]>;
}

/** The broker's HTTP API. */
export function createApp(ports: AppPorts): Hono<Env> {
  const app = createShell(ports);
  // A new route needs its entry in operations/ as well, else openapi/documented.test.ts fails; and
  // each test that calls it compares what it answers with that entry (testing/check-answers).
  tokenRoutes(app, ports);
  explainRoutes(app, ports);
  introspectionRoutes(app, ports);
  taskRoutes(app, ports);
  leaseRoutes(app, ports);
  ledgerRoutes(app, ports);
  questionRoutes(app, ports);
  selectorEndRoutes(app, ports);
  traceRoutes(app, ports);
  ledgerExportRoutes(app, ports);
  administrationRoutes(app, ports);
  keyRoutes(app, ports);
  planRoutes(app, ports);
  diagnosisRoutes(app, ports);
  metadataRoutes(app, ports);
  backendIssuerRoutes(app, ports);
  backendAuthorityRoutes(app, ports);
  schemaRoutes(app, ports);
  referenceRoutes(app, ports);
  healthRoutes(app, ports);
  return app;
}
