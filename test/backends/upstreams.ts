import { requireOrExplain } from "@mayfly/embedded";
import { accepted, type Installation, type RunningBroker } from "../harness/index.ts";
import { awsUpstream } from "./upstreams/aws-upstream.ts";
import { jwtUpstream } from "./upstreams/jwt-upstream.ts";
import { mysqlUpstream } from "./upstreams/mysql-upstream.ts";
import { postgresUpstream } from "./upstreams/postgres-upstream.ts";
import { rabbitmqUpstream } from "./upstreams/rabbitmq-upstream.ts";
import { redisUpstream } from "./upstreams/redis-upstream.ts";
import { sshUpstream } from "./upstreams/ssh-upstream.ts";
import { staticUpstream } from "./upstreams/static-upstream.ts";
import type { Registrar, Upstream } from "./upstreams/upstream.ts";
import { vaultUpstream } from "./upstreams/vault-upstream.ts";
import { webhookUpstream } from "./upstreams/webhook-upstream.ts";
import { x509Upstream } from "./upstreams/x509-upstream.ts";

/** One of each type that is installed. */
export const UPSTREAMS: readonly Upstream[] = [
  postgresUpstream,
  mysqlUpstream,
  redisUpstream,
  rabbitmqUpstream,
  awsUpstream,
  vaultUpstream,
  jwtUpstream,
  x509Upstream,
  sshUpstream,
  webhookUpstream,
  staticUpstream,
];

/** Those that this machine has the servers of, each of which says once what it lacks. */
export async function availableUpstreams(): Promise<readonly Upstream[]> {
  const found: Upstream[] = [];
  for (const upstream of UPSTREAMS) {
    const { server } = upstream;
    if (server === null || (await requireOrExplain(server)) !== undefined) found.push(upstream);
  }
  return found;
}

export const registrar = (
  mayfly: Installation,
  broker: RunningBroker,
  leasesMax = 100,
): Registrar => ({
  mayfly,
  broker,
  leasesMax,
  put: async (name, backend, role) => {
    const [at, under] = [`/v1/backends/${name}`, `/v1/roles/${name}/one`];
    accepted(await broker.api.admin("PUT", at, backend), at);
    const all = {
      description: "Orders, to look at",
      ttl_max: "10m",
      data_class: "internal",
      reversibility: "read_only",
      environment: "test",
      ...role,
    };
    accepted(await broker.api.admin("PUT", under, all), under);
  },
});
