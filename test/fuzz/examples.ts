import { createTestSigningKey } from "@mayfly/testkit";
import type { Json } from "@mayfly/spec";

/** Without what is the backend type's own. */
export const ROLE_EXAMPLE = {
  description: "A role",
  ttl_max: "30m",
  data_class: "confidential",
  reversibility: "read_only",
  environment: "test",
} as const;

const { publicJwk } = createTestSigningKey("example");

export const TRUST_EXAMPLES: readonly Json[] = [
  { kind: "oidc", config: { issuer: "https://fresh.test", jwks: { keys: [publicJwk] } } },
  {
    kind: "spiffe",
    config: { trust_domain: "fresh.test", bundle: { keys: [{ ...publicJwk, use: "jwt-svid" }] } },
  },
  { kind: "oidc", config: { issuer: "https://127.0.0.1:1" } },
  {
    kind: "spiffe",
    config: {
      trust_domain: "fresh.test",
      bundle_endpoint: { url: "https://127.0.0.1:1/bundle", profile: "https_web" },
    },
  },
];

/** Of nobody whom any trust root knows. */
export const RESOURCE_SERVER_EXAMPLES: readonly Json[] = [
  { identities: [{ spiffe_id: "spiffe://fresh.test/api/*" }], audiences: ["https://a.test"] },
  {
    identities: [{ issuer: "https://fresh.test", subject: "a" }],
    description: "A server",
    enabled: false,
  },
];

/** Policies that may be put, and that permit nobody anything. */
export const POLICY_EXAMPLES: readonly Json[] = [
  { sources: [{ name: "a.cedar", text: "forbid (principal, action, resource);" }] },
  {
    sources: [
      {
        name: "b.cedar",
        text: `@id("nobody")
permit (principal == Workload::"spiffe://nobody.test/x", action in Action::"credential", resource);`,
      },
    ],
  },
];
