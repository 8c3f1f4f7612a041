import type { IssueLedger } from "@mayfly/spec";
import type { Statement } from "./sql.ts";

/** Of two at once the key of the table lets one through. */
export async function recordTokenUse(
  sql: Statement,
  { issuer, jti, expiresAt }: Parameters<IssueLedger["recordTokenUse"]>[0],
): Promise<boolean> {
  const inserted = await sql`
    INSERT INTO mayfly.one_time_tokens (issuer, jti, expires_at)
    VALUES (${issuer}, ${jti}, mayfly.instant(${expiresAt}::float8))
    ON CONFLICT DO NOTHING
    RETURNING jti`;
  return inserted.length === 1;
}
