/** The ledger on PostgreSQL 15 or newer. */
export { readBootstrapTokenSha256, storeBootstrapTokenSha256 } from "./bootstrap-token.ts";
export { checkSchema, type SchemaCheck } from "./check-schema.ts";
export { checkServer, type ServerCheck } from "./check-server.ts";
export { DATABASE_ROLES, type DatabaseRole, type RolePasswords } from "./database-roles.ts";
export { ensurePartitions } from "./ensure-partitions.ts";
export { openErasure, type Erased, type Erasure, type ErasureOptions } from "./erasure.ts";
export { ERASED_TABLES, type ErasedTable } from "./erasure-rows.ts";
export { ERASED, type PersonSelector } from "./personal-values.ts";
export { readInstallation, type Installation } from "./installation.ts";
export { migrate, type Migrated, type MigrateOptions } from "./migrate.ts";
export {
  openLedger,
  type Ledger,
  type LedgerConnections,
  type LedgerOptions,
} from "./open-ledger.ts";
export {
  openRetention,
  type CutDigests,
  type Retention,
  type RetentionOptions,
} from "./retention.ts";
export type { RetentionCut, RetentionPlan } from "./retention-plan.ts";
export { saltLeaves } from "./salt-leaves.ts";
export type { Upkeep } from "./upkeep.ts";
export {
  verifyExport,
  type ExportedLine,
  type ExportVerification,
  type KnownFacts,
} from "./verify-export.ts";
