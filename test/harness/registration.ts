import type { OrdersDatabase } from "@mayfly/dev";
import type { TestTrustDomain } from "@mayfly/testkit";
import type { BrokerApi, Reply } from "./broker-api.ts";

export const TRUST_DOMAIN = "system.test";
export const BACKEND = "orders-db";
export const READER = `${BACKEND}/reader`;
export const WRITER = `${BACKEND}/writer`;

const POLICIES = `
@id("agents-use-orders")
permit (principal, action in Action::"credential", resource)
when { principal.trust_root == "${TRUST_DOMAIN}" };
@id("mallory-gets-nothing")
forbid (
  principal == Workload::"spiffe://${TRUST_DOMAIN}/agent/mallory",
  action in Action::"credential",
  resource
);
`;

/** What a platform team does once: trust, backend, roles, policies. */
export async function registerOrders(
  api: BrokerApi,
  orders: OrdersDatabase,
  trust: TestTrustDomain,
): Promise<void> {
  const put = async (path: string, body: unknown): Promise<void> =>
    accepted(await api.admin("PUT", path, body), path);
  await put(`/v1/trust/${TRUST_DOMAIN}`, {
    kind: "spiffe",
    config: { trust_domain: trust.trustDomain, bundle: trust.bundle() },
  });
  await put(`/v1/backends/${BACKEND}`, { type: "postgres", config: backendConfig(orders) });
  for (const [shape, group, reversibility] of [
    ["reader", "app_reader", "read_only"],
    ["writer", "app_writer", "reversible"],
  ]) {
    await put(`/v1/roles/${BACKEND}/${shape}`, {
      description: `The group role ${group} of the orders database`,
      member_of: group,
      owner: "app_owner",
      ttl_max: "30m",
      data_class: "confidential",
      reversibility,
      environment: "test",
    });
  }
  await put("/v1/policies", { sources: [{ name: "orders.cedar", text: POLICIES }] });
}

/** The configuration under which the orders database is registered. */
export const backendConfig = (orders: OrdersDatabase): Record<string, unknown> => ({
  host: orders.host,
  port: orders.port,
  database: orders.database,
  username: orders.username,
  password: orders.password,
  tls: "unsafe_disable",
});

export function accepted(reply: Reply, what: string): void {
  if (reply.status >= 300) throw new Error(`${what} was answered ${reply.status}: ${reply.text}`);
}
