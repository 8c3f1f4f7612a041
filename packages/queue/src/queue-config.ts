import { BrokerError, type Clock, type Log, type Secret } from "@mayfly/spec";

/** Where BullMQ keeps its jobs. */
export type QueueConfig = RedisQueueConfig | PostgresQueueConfig;

export interface RedisQueueConfig {
  readonly kind: "redis";
  /** `redis://` or, with TLS, `rediss://`. Several only for a cluster: nodes to begin with. */
  readonly urls: readonly [Secret, ...Secret[]];
  readonly cluster: boolean;
  /** Tells installations that share a server apart: 1 to 40 of a-z, 0-9 and inner dashes. */
  readonly prefix: string;
}

export interface PostgresQueueConfig {
  readonly kind: "postgres";
  /** `postgres://`, as the runtime role of the broker or the worker; see {@link queueGrants}. */
  readonly connection: Secret;
  /** The schema that `migrateQueue` made. */
  readonly schema: string;
}

/** What both ends are given by their process. */
export interface QueuePorts {
  readonly clock: Clock;
  readonly log: Log;
}

/** BullMQ's name of the one queue. */
export const QUEUE_NAME = "alarms";

/**
 * The prefix of all keys. The braces are a hash tag (Redis cluster specification, "Hash tags"): all
 * keys of the queue live in one slot, without which BullMQ's scripts fail on a cluster.
 */
export function keyPrefixOf(config: RedisQueueConfig): string {
  return `{${config.prefix}}`;
}

/** Throws `config_invalid`, by the member's name, at what could only fail later. */
export function checkQueueConfig(config: QueueConfig): void {
  switch (config.kind) {
    case "redis":
      if (!/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/.test(config.prefix)) {
        throw invalid("prefix", "expected 1 to 40 of a-z, 0-9 and inner dashes");
      }
      if (config.urls.length > 1 && !config.cluster) {
        throw invalid("urls", "several servers are for a cluster; name one, or set cluster");
      }
      for (const url of config.urls) checkUrl(url, "urls", ["redis:", "rediss:"]);
      return;
    case "postgres":
      checkSchemaName(config.schema);
      checkUrl(config.connection, "connection", ["postgres:", "postgresql:"]);
      return;
    default:
      config satisfies never;
  }
}

export function checkSchemaName(schema: string): void {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw invalid("schema", "expected 1 to 63 of a-z, 0-9 and _, not beginning with a digit");
  }
}

function checkUrl(url: Secret, where: string, protocols: readonly string[]): void {
  // The parser's own error quotes the URL, and the URL holds the password.
  const protocol = URL.parse(url.expose("upstream"))?.protocol ?? "";
  if (!protocols.includes(protocol)) {
    throw invalid(where, `expected a URL that begins with ${protocols.join("// or ")}//`);
  }
}

function invalid(where: string, what: string): BrokerError {
  return new BrokerError("config_invalid", `queue: ${where}: ${what}`, { where });
}
