import type { BundleSource, TrustRootName } from "@mayfly/spec";
import type { Statement } from "./sql.ts";

export async function noteBundleSequence(
  sql: Statement,
  source: BundleSource,
  sequence: number,
): Promise<number> {
  const { trustRoot, sourceSha256 } = source;
  const [raised] = await sql`
    INSERT INTO mayfly.bundle_sequences AS known (trust_root, source_sha256, sequence)
    VALUES (${trustRoot}, decode(${sourceSha256}, 'hex'), ${sequence}::float8)
    ON CONFLICT (trust_root, source_sha256)
      DO UPDATE SET sequence = excluded.sequence, seen_at = now()
      WHERE known.sequence IS NULL OR known.sequence < excluded.sequence
    RETURNING sequence`;
  if (raised !== undefined) return sequence;
  // A statement of its own: it sees the row of whoever was first.
  return (await newestBundleSequence(sql, source)) ?? sequence;
}

export async function newestBundleSequence(
  sql: Statement,
  { trustRoot, sourceSha256 }: BundleSource,
): Promise<number | null> {
  const [row] = await sql<{ sequence: number | null }[]>`
    SELECT sequence FROM mayfly.bundle_sequences
    WHERE trust_root = ${trustRoot} AND source_sha256 = decode(${sourceSha256}, 'hex')`;
  return row?.sequence ?? null;
}

/** With the trust root itself: nobody may delete the row. */
export const forgetBundleSequences = (sql: Statement, trustRoot: TrustRootName) =>
  sql`
    UPDATE mayfly.bundle_sequences SET sequence = NULL, seen_at = now()
    WHERE trust_root = ${trustRoot} AND sequence IS NOT NULL`;
