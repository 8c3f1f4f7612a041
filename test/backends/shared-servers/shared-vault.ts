import { startOpenbao } from "@mayfly/embedded";
import { startTcpFaultProxy } from "@mayfly/testkit";
import { driving } from "../../../packages/backend-vault/src/testing/vault-server.ts";
import { listOf } from "../../../packages/backend-vault/src/testing/vault-upstream.ts";
import { CLEAR, textIn, there } from "../upstreams/upstream.ts";
import { isOf, saying, type RunningServer, type SharedServer } from "./shared-server.ts";

async function start(): Promise<RunningServer> {
  const server = there(await startOpenbao());
  const { host, port, rootToken } = server;
  const { api, as } = driving({ port, rootToken });
  await api("POST", "secret/data/orders", { data: { total: 3 } });
  await api("POST", "sys/policies/acl/orders", {
    policy: 'path "secret/data/orders" { capabilities = ["read"] }',
  });
  const proxy = await startTcpFaultProxy({ host, port });
  const config = { host, port: proxy.port, login: { token: rootToken }, ...CLEAR };
  return {
    type: "vault",
    proxy,
    mintSends: ["POST /v1/auth/token/roles/", "POST /v1/auth/token/create/"].map(saying),
    register: ({ put }) =>
      put("vault", { type: "vault", config }, { token: { policies: ["orders"] } }),
    liveNames: async (installation) =>
      (await listOf({ api }, "sys/leases/lookup/auth/token/create/")).filter(isOf(installation)),
    accepts: async (data) => {
      const { status } = await as(textIn(data, "token"), "GET", "secret/data/orders");
      return status === 200;
    },
    stop: async () => {
      await proxy.stop();
      await server.stop();
    },
  };
}

export const sharedVault: SharedServer = { type: "vault", server: "openbao", start };
