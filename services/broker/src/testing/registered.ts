import type { BrokerBench } from "./broker-bench.ts";
import { CI_ISSUER, OIDC_ISSUER, TRUST_DOMAIN } from "./test-identities.ts";

/** In the backend's configuration; must never come back out. */
export const BACKEND_PASSWORD = "backend-password-5f0c7b";
export const READER = "orders-db/reader";
export const WRITER = "orders-db/writer";

const POLICIES = `
@id("agents-read-orders")
permit (principal, action in Action::"credential", resource == Role::"orders-db/reader");
@id("agents-write-orders")
permit (principal, action in Action::"credential", resource == Role::"orders-db/writer");
@id("no-writes-by-mallory")
forbid (
  principal == Workload::"spiffe://acme.test/agent/mallory",
  action in Action::"credential",
  resource == Role::"orders-db/writer"
);
`;

/** What a platform team registers, through the API that it uses. */
export async function registerDefaults(bench: BrokerBench): Promise<void> {
  const { trustDomain, oidcKey, ciKey } = bench.identities;
  const put = async (path: string, body: unknown): Promise<void> => {
    const answer = await bench.admin("PUT", path, body);
    if (answer.status >= 300) throw new Error(`PUT ${path}: ${answer.text}`);
  };
  await put(`/v1/trust/${TRUST_DOMAIN}`, {
    kind: "spiffe",
    config: { trust_domain: TRUST_DOMAIN, bundle: trustDomain.bundle() },
  });
  await put("/v1/trust/login", {
    kind: "oidc",
    config: { issuer: OIDC_ISSUER, jwks: { keys: [oidcKey.publicJwk] }, initiators: true },
  });
  await put("/v1/trust/ci", {
    kind: "oidc",
    config: { issuer: CI_ISSUER, jwks: { keys: [ciKey.publicJwk] }, one_time_tokens: true },
  });
  await put("/v1/backends/orders-db", {
    type: "fake",
    config: { address: "orders.internal", password: BACKEND_PASSWORD },
  });
  for (const [shape, groups, reversibility] of [
    ["reader", ["app_reader", "app_stats"], "read_only"],
    ["writer", ["app_writer"], "reversible"],
    ["secret", ["app_owner"], "irreversible"],
  ]) {
    await put(`/v1/roles/orders-db/${String(shape)}`, {
      description: `The groups ${String(groups)}`,
      groups,
      ttl_max: "30m",
      data_class: "confidential",
      reversibility,
      environment: "test",
    });
  }
  await put("/v1/policies", { sources: [{ name: "orders.cedar", text: POLICIES }] });
}
