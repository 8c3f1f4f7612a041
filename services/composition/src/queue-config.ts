import type { QueueConfig } from "@mayfly/queue";
import type { SharedSettings } from "@mayfly/settings";
import { BrokerError } from "@mayfly/spec";

/** The schema of BullMQ's tables in the ledger's database, where the queue is on PostgreSQL. */
export const QUEUE_SCHEMA = "mayfly_queue";

/** The queue of an installation; its id keeps two that share a Redis apart. */
export function queueConfig(settings: SharedSettings, installation: string): QueueConfig {
  if (settings.queue === "postgres") {
    return { kind: "postgres", connection: settings.databaseUrl, schema: QUEUE_SCHEMA };
  }
  if (settings.redisUrl === null) {
    throw new BrokerError("config_invalid", "MAYFLY_REDIS_URL: it is required for this queue.");
  }
  return {
    kind: "redis",
    urls: [settings.redisUrl],
    cluster: settings.redisCluster,
    prefix: `mayfly-${installation}`,
  };
}
