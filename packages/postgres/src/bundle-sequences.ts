import type { BundleSource, TrustRootName } from "@mayfly/spec";
import type { Statement } from "./sql.ts";

export async function noteBundleSequence(
  sql: Statement,
  source: BundleSource,
  sequence: bigint,
): Promise<bigint> {
  const { trustRoot, sourceSha256 } = source;
  const [raised] = await sql`
    INSERT INTO mayfly.bundle_sequences AS known (trust_root, source_sha256, sequence_number)
    VALUES (${trustRoot}, decode(${sourceSha256}, 'hex'), ${String(sequence)}::text::numeric)
    ON CONFLICT (trust_root, source_sha256)
      DO UPDATE SET sequence_number = excluded.sequence_number, seen_at = now()
      WHERE known.sequence_number IS NULL OR known.sequence_number < excluded.sequence_number
    RETURNING sequence_number`;
  if (raised !== undefined) return sequence;
  // A statement of its own: it sees the row of whoever was first.
  return (await newestBundleSequence(sql, source)) ?? sequence;
}

export async function newestBundleSequence(
  sql: Statement,
  { trustRoot, sourceSha256 }: BundleSource,
): Promise<bigint | null> {
  const [row] = await sql<{ digits: string | null }[]>`
    SELECT sequence_number::text AS digits FROM mayfly.bundle_sequences
    WHERE trust_root = ${trustRoot} AND source_sha256 = decode(${sourceSha256}, 'hex')`;
  const digits = row?.digits ?? null;
  return digits === null ? null : BigInt(digits);
}

/** With the trust root itself: nobody may delete the row. */
export const forgetBundleSequences = (sql: Statement, trustRoot: TrustRootName) =>
  sql`
    UPDATE mayfly.bundle_sequences SET sequence_number = NULL, seen_at = now()
    WHERE trust_root = ${trustRoot} AND sequence_number IS NOT NULL`;
