import { BrokerError, type Actor } from "@mayfly/spec";
import { appendEvents } from "./append-events.ts";
import { toBrokerError } from "./faults.ts";
import { connect, databaseRoleOf, type Sql, type Statement } from "./sql.ts";

const MIGRATOR: Actor = { kind: "system", name: "migrator" };

/** Lowercase hex of the token's SHA-256, or null before the first was made. */
export async function selectBootstrapTokenSha256(sql: Statement): Promise<string | null> {
  const [row] = await sql<{ sha256: string }[]>`SELECT sha256 FROM mayfly.bootstrap_token`;
  return row?.sha256 ?? null;
}

/** As `mayfly_broker` or the migrator; opens a connection of its own. */
export function readBootstrapTokenSha256(url: string): Promise<string | null> {
  return withConnection(url, selectBootstrapTokenSha256);
}

/**
 * Stores the hash of a new token, with an event. As the migrator, or whoever may act as it.
 *
 * `if_none` leaves one that is there alone. Answers whether this hash is now the one that counts:
 * only then is the token worth showing.
 */
export function storeBootstrapTokenSha256(
  url: string,
  sha256: string,
  mode: "if_none" | "replace",
): Promise<boolean> {
  if (!/^[0-9a-f]{64}$/.test(sha256)) {
    throw new BrokerError("internal", "The token's hash is not a SHA-256 in lowercase hex.");
  }
  return withConnection(url, async (sql) => {
    await sql`SET ROLE mayfly_migrator`;
    return sql.begin(async (tx) => {
      const replaced = await tx`
        UPDATE mayfly.bootstrap_token SET sha256 = ${sha256}, created_at = now()
        WHERE ${mode === "replace"} RETURNING 1`;
      const created =
        replaced.length > 0
          ? []
          : await tx`
              INSERT INTO mayfly.bootstrap_token (sha256) VALUES (${sha256})
              ON CONFLICT DO NOTHING RETURNING 1`;
      if (replaced.length + created.length === 0) return false;
      const kind = replaced.length > 0 ? "admin_token.replaced" : "admin_token.created";
      const [row] = await tx<{ id: string }[]>`SELECT id FROM mayfly.installation`;
      if (row === undefined) throw new Error("the installation's row is gone");
      // In the log, so that an exported file's header has something to be compared with.
      const data = { installation: row.id };
      await appendEvents(tx, [{ kind, actor: MIGRATOR, data }]);
      return true;
    });
  });
}

async function withConnection<T>(url: string, run: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = connect(url, "mayfly-bootstrap-token", 1);
  try {
    return await run(sql);
  } catch (error) {
    throw toBrokerError(error, databaseRoleOf(url));
  } finally {
    await sql.end({ timeout: 5 });
  }
}
