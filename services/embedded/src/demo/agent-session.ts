import postgres from "postgres";
import { readAt, readText, type JsonReply } from "./broker-client.ts";

/** The PostgreSQL credential of a token reply, as an agent would use it. */
export interface DemoCredential {
  readonly lease: string;
  readonly username: string;
  readonly expiresAt: string;
  readonly revocation: string;
  connect(): postgres.Sql;
}

/** One session at a time, without a pool: a cut session must be seen, not replaced. */
export function credentialOf(reply: JsonReply): DemoCredential {
  if (reply.status !== 200) {
    throw new Error(`the exchange was answered ${reply.status}: ${JSON.stringify(reply.body)}`);
  }
  const at = (...path: string[]): string => readText(reply.body, "credentials", 0, ...path);
  return {
    lease: at("lease"),
    username: at("data", "username"),
    expiresAt: at("expires_at"),
    revocation: at("revocation"),
    connect: () =>
      postgres({
        host: at("data", "host"),
        port: Number(readAt(reply.body, "credentials", 0, "data", "port")),
        database: at("data", "database"),
        username: at("data", "username"),
        password: at("data", "password"),
        max: 1,
        connect_timeout: 5,
        backoff: () => 0,
        onnotice: () => undefined,
      }),
  };
}

export interface CutSession {
  /** Milliseconds after which the open session was seen to be cut. */
  readonly afterMs: number;
}

/**
 * Holds a session open in a long query and resolves when the server cuts it; null when the query
 * ended by itself first.
 */
export async function untilCut(
  sql: postgres.Sql,
  startedAtMs: () => number,
): Promise<CutSession | null> {
  try {
    await sql`SELECT pg_sleep(60)`;
    return null;
  } catch {
    return { afterMs: performance.now() - startedAtMs() };
  }
}

/** Tries a new login and says how the server refused it; throws if it was let in. */
export async function refusedLogin(credential: DemoCredential): Promise<string> {
  const sql = credential.connect();
  try {
    await sql`SELECT 1`;
  } catch (error) {
    return error instanceof Error ? error.message : "refused";
  } finally {
    await sql.end({ timeout: 0 });
  }
  throw new Error(`a login as ${credential.username} was accepted after the task had ended`);
}
