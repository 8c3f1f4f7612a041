import { BrokerError } from "@mayfly/spec";
import type { Migration } from "./migration-files.ts";
import type { Statement } from "./sql.ts";

export interface AppliedMigration {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly breaking: boolean;
}

/** The tables themselves, or the auditor's views of them. */
export type LedgerSchema = "mayfly" | "mayfly_audit";

/** The auditor has no right in the schema of the tables, nor does anybody before it is there. */
export async function readableSchema(sql: Statement): Promise<LedgerSchema> {
  const [tables] = await sql<{ readable: boolean }[]>`
    SELECT has_schema_privilege(oid, 'USAGE') AS readable FROM pg_namespace
    WHERE nspname = 'mayfly'`;
  return tables?.readable === false ? "mayfly_audit" : "mayfly";
}

export async function readApplied(
  sql: Statement,
  schema: LedgerSchema = "mayfly",
): Promise<readonly AppliedMigration[]> {
  const [there] = await sql<{ there: boolean }[]>`
    SELECT to_regclass(${`${schema}.schema_versions`}::text) IS NOT NULL AS there`;
  if (there?.there !== true) return [];
  return sql<AppliedMigration[]>`
    SELECT version, name, checksum, breaking FROM ${sql(schema)}.schema_versions ORDER BY version`;
}

/**
 * A migration that ran is never edited, and a binary works with a newer schema only as long as
 * nothing in it breaks older binaries. Throws `config_invalid` that says which side to change.
 */
export function checkHistory(
  known: readonly Migration[],
  applied: readonly AppliedMigration[],
): void {
  for (const migration of applied) {
    const ours = known[migration.version - 1];
    if (ours === undefined) {
      if (!migration.breaking) continue;
      throw invalid(
        `The ledger's schema has migration ${migration.name}, which this version of Mayfly does ` +
          "not know and cannot work with. Run a newer version.",
      );
    }
    if (ours.checksum !== migration.checksum) {
      throw invalid(
        `The ledger was migrated with another ${migration.name} than this version of Mayfly has. ` +
          "A migration that ran is never edited: run the version that belongs to this ledger.",
      );
    }
  }
}

/** For a process that works on the ledger: everything that it knows has to be there. */
export function checkCurrent(
  known: readonly Migration[],
  applied: readonly AppliedMigration[],
): void {
  checkHistory(known, applied);
  const missing = known.find((each) => !applied.some((row) => row.version === each.version));
  if (missing === undefined) return;
  throw invalid(`The ledger's schema lacks migration ${missing.name}. Run: mayfly migrate`);
}

const invalid = (message: string): BrokerError =>
  new BrokerError("config_invalid", message, { where: "ledger schema" });
