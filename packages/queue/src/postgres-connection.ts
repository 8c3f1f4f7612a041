import type { PostgresPoolConfig } from "bullmq";
import type { PostgresQueueConfig } from "./queue-config.ts";

/** One connection per pass would do; BullMQ's scripts are single statements. */
const MAX_CONNECTIONS = 4;
/** A frozen process holds nobody's locks for longer. */
const IDLE_IN_TRANSACTION_MS = 10_000;

/**
 * What BullMQ gets to build its pool from. A pool of our own would lose the schema: BullMQ sets the
 * `search_path` only on connections that it opens itself.
 */
export function poolConfigOf(config: PostgresQueueConfig, timeoutMs: number): PostgresPoolConfig {
  return {
    connectionString: config.connection.expose("upstream"),
    schema: config.schema,
    migrate: false,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    statement_timeout: timeoutMs,
    lock_timeout: timeoutMs,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    keepAlive: true,
    application_name: "mayfly-queue",
  };
}
