import {
  parseInstallationId,
  type InstallationId,
  type InstantMs,
  type Random,
} from "@mayfly/spec";
import { toBrokerError } from "./faults.ts";
import type { LedgerSchema } from "./schema-version.ts";
import { connect, databaseRoleOf, type Sql, type Statement } from "./sql.ts";

export interface Installation {
  readonly id: InstallationId;
  readonly createdAt: InstantMs;
}

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** 40 random bits: part of every name that this installation makes. */
export function mintInstallationId(random: Random): InstallationId {
  const text = [...random.bytes(8)].map((byte) => ALPHABET[byte % 32]).join("");
  return parseInstallationId(text, "installation");
}

/** The first to migrate names the installation; nobody renames it. */
export async function ensureInstallation(sql: Sql, random: Random): Promise<void> {
  await sql`
    INSERT INTO mayfly.installation (id) VALUES (${mintInstallationId(random)})
    ON CONFLICT DO NOTHING`;
}

export async function selectInstallation(
  sql: Statement,
  schema: LedgerSchema = "mayfly",
): Promise<Installation | null> {
  const [row] = await sql<{ id: string; created_at: InstantMs }[]>`
    SELECT id, created_at FROM ${sql(schema)}.installation`;
  if (row === undefined) return null;
  return { id: parseInstallationId(row.id, "installation.id"), createdAt: row.created_at };
}

/** Null before the first `migrate`. */
export async function readInstallation(url: string): Promise<Installation | null> {
  const sql = connect(url, "mayfly-installation", 1);
  try {
    const [there] = await sql<{ there: boolean }[]>`
      SELECT to_regclass('mayfly.installation') IS NOT NULL AS there`;
    return there?.there === true ? await selectInstallation(sql) : null;
  } catch (error) {
    throw toBrokerError(error, databaseRoleOf(url));
  } finally {
    await sql.end({ timeout: 5 });
  }
}
