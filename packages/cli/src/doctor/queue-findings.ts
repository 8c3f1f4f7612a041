import { checkRedis } from "@mayfly/queue";
import type { Session } from "../session.ts";
import { bad, good, skipped, type Finding } from "./finding.ts";

/** Redis as a process on this machine would use it; a queue on PostgreSQL is the ledger's part. */
export async function redisFindings(session: Session): Promise<readonly Finding[]> {
  const { queue, redisUrl, redisCluster } = session.settings();
  if (queue !== "redis" && redisUrl === null) {
    return [skipped("queue", "MAYFLY_REDIS_URL is not set: no Redis is looked at")];
  }
  if (redisUrl === null) {
    return [bad("queue", "MAYFLY_QUEUE is redis and MAYFLY_REDIS_URL is not set", "Set it.")];
  }
  try {
    const { version, problems } = await checkRedis({
      kind: "redis",
      urls: [redisUrl],
      cluster: redisCluster,
      prefix: "mayfly-doctor",
    });
    if (problems.length === 0) return [good("queue", `Redis ${version} serves`)];
    const why = "The rows are the truth: no lease is lost, and its end comes with the next sweep.";
    return problems.map(({ what, fix }) => bad("queue", what, fix, { why, severity: "warning" }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : "no reason given";
    const todo = "Start it, or correct MAYFLY_REDIS_URL. docs/runbooks/redis-lost.md";
    const why = "Ends wait for the sweep until it is back; none is lost.";
    return [bad("queue", `Redis does not answer: ${reason}`, todo, { why })];
  }
}
