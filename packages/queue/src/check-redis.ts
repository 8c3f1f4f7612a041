import type { CheckProblem } from "@mayfly/spec";
import type { RedisQueueConfig } from "./queue-config.ts";
import { connectRedis } from "./redis-connection.ts";

export interface RedisCheck {
  readonly version: string;
  readonly problems: readonly CheckProblem[];
}

const TIMEOUT_MS = 5_000;

/**
 * Whether Redis serves as the queue: it answers, throws nothing away, and keeps jobs over a
 * restart. Reads INFO alone, which managed services permit. Of a cluster, one node is read. Rejects
 * when it does not answer.
 */
export async function checkRedis(config: RedisQueueConfig): Promise<RedisCheck> {
  const patience = { kind: "fail-fast", timeoutMs: TIMEOUT_MS } as const;
  const redis = await connectRedis(config, patience, () => undefined);
  try {
    const facts = new Map(
      (await redis.info())
        .split(/\r?\n/)
        .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
    );
    return { version: facts.get("redis_version") ?? "unknown", problems: problemsOf(facts) };
  } finally {
    redis.disconnect();
  }
}

function problemsOf(facts: ReadonlyMap<string, string>): readonly CheckProblem[] {
  const problems: CheckProblem[] = [];
  const policy = facts.get("maxmemory_policy");
  if (policy !== undefined && policy !== "noeviction") {
    problems.push({
      code: "redis_evicts",
      what: `maxmemory-policy is ${policy}: jobs vanish when memory is short, and ends are late.`,
      fix: "CONFIG SET maxmemory-policy noeviction, and the same in its configuration",
    });
  }
  if (facts.get("aof_enabled") === "0") {
    problems.push({
      code: "redis_not_persistent",
      what: "The append-only file is off: a restart of Redis loses jobs, and ends wait for the sweep.",
      fix: "CONFIG SET appendonly yes, and the same in its configuration",
    });
  }
  if (
    facts.get("aof_last_write_status") === "err" ||
    facts.get("rdb_last_bgsave_status") === "err"
  ) {
    problems.push({
      code: "redis_cannot_write",
      what: "Redis could not write its data to disk.",
      fix: "See its log and the free space of its disk.",
    });
  }
  if (facts.get("role") === "slave") {
    problems.push({
      code: "redis_is_replica",
      what: "This Redis is a replica, which takes no jobs.",
      fix: "Name the primary in MAYFLY_REDIS_URL.",
    });
  }
  return problems;
}
