import type { ProofUses } from "@mayfly/spec";
import type { Statement } from "./sql.ts";

/** Durable when it resolves; one that expires takes its row with it in a later call. */
export async function recordProofUse(
  sql: Statement,
  { sha256, expiresAt }: Parameters<ProofUses["record"]>[0],
): Promise<boolean> {
  const [row] = await sql<{ is_first: boolean }[]>`
    SELECT mayfly.use_proof(decode(${sha256}, 'hex'), mayfly.instant(${expiresAt}::float8))
      AS is_first`;
  return row?.is_first === true;
}
