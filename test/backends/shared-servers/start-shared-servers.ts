import { requireOrExplain } from "@mayfly/embedded";
import { sharedAws } from "./shared-aws.ts";
import { sharedJwt } from "./shared-jwt.ts";
import { sharedMysql } from "./shared-mysql.ts";
import { sharedRabbitmq } from "./shared-rabbitmq.ts";
import { sharedRedis } from "./shared-redis.ts";
import { sharedSsh } from "./shared-ssh.ts";
import type { RunningServer, SharedServer } from "./shared-server.ts";
import { sharedVault } from "./shared-vault.ts";
import { sharedWebhook } from "./shared-webhook.ts";
import { sharedX509 } from "./shared-x509.ts";

/** Beside these every installation of tests has `orders-db`, of the type `postgres`. */
const SHARED_SERVERS: readonly SharedServer[] = [
  sharedMysql,
  sharedRedis,
  sharedRabbitmq,
  sharedAws,
  sharedVault,
  sharedJwt,
  sharedX509,
  sharedSsh,
  sharedWebhook,
];

/** Those that this machine has the servers of, each of which says once what it lacks. */
export async function availableServers(): Promise<readonly SharedServer[]> {
  const found: SharedServer[] = [];
  for (const upstream of SHARED_SERVERS) {
    const { server } = upstream;
    if (server === null || (await requireOrExplain(server)) !== undefined) found.push(upstream);
  }
  return found;
}

/** All at once: the slowest takes half a minute of waiting. What was started stops with `ends`. */
export async function startSharedServers(
  upstreams: readonly SharedServer[],
  ends: AsyncDisposableStack,
): Promise<readonly RunningServer[]> {
  const started = await Promise.allSettled(upstreams.map(({ start }) => start()));
  const running = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  for (const one of running) ends.defer(() => one.stop());
  const failed = started.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return running;
}
