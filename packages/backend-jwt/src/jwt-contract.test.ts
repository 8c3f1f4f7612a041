import { describeBackendContract, type BackendContractSubject } from "@mayfly/testkit/contract";
import { jwtBackend } from "./jwt-backend.ts";
import { startTokenUpstream, playingTheCore } from "./testing/token-upstream.ts";

const config = { audiences: ["https://orders.test", "https://billing.test"] };
const role = { audience: ["https://orders.test", "https://billing.test"] };

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [{ ...config, algorithm: "EdDSA", verifier_leeway_seconds: 0 }, config],
    bad: [
      { input: {}, names: "config.audiences" },
      { input: { audiences: [] }, names: "config.audiences" },
      { input: { audiences: ["a b"] }, names: "config.audiences[0]" },
      { input: { audiences: [""] }, names: "config.audiences[0]" },
      { input: { audiences: "https://orders.test" }, names: "config.audiences" },
      { input: { ...config, issuer: "https://issuer.test" }, names: "config.issuer" },
      { input: { ...config, algorithm: "HS256" }, names: "config.algorithm" },
      { input: { ...config, algorithm: "none" }, names: "config.algorithm" },
      { input: { ...config, verifier_leeway_seconds: 301 }, names: "config.verifier_leeway" },
    ],
    secrets: [],
  },
  role: {
    valid: [
      {
        ...role,
        scope: ["orders:write", "orders:read"],
        claims: { groups: ["agents"], tier: { level: 2 } },
        key_binding: "required",
      },
      { audience: "https://orders.test" },
    ],
    bad: [
      { input: {}, names: "role.audience" },
      { input: { audience: [] }, names: "role.audience" },
      { input: { ...role, scope: ["a b"] }, names: "role.scope[0]" },
      { input: { ...role, scope: ["a\u0022"] }, names: "role.scope[0]" },
      { input: { ...role, key_binding: "dpop" }, names: "role.key_binding" },
      { input: { ...role, key_binding: "none" }, names: "role.key_binding" },
      { input: { ...role, claims: { sub: "root" } }, names: "role.claims.sub" },
      { input: { ...role, claims: { exp: 9_999_999_999 } }, names: "role.claims.exp" },
      { input: { ...role, claims: { aud: "https://broker.test" } }, names: "role.claims.aud" },
      { input: { ...role, claims: { cnf: {} } }, names: "role.claims.cnf" },
      { input: { ...role, claims: { SUB: "root" } }, names: "role.claims.SUB" },
      { input: { ...role, claims: { email: "a@b.test" } }, names: "role.claims.email" },
      { input: { ...role, claims: { Email: "a@b.test" } }, names: "role.claims.Email" },
      { input: { ...role, claims: { mayfly_task: "x" } }, names: "role.claims.mayfly_task" },
      { input: { ...role, claims: { deep: [[[[[1]]]]] } }, names: "role.claims.deep" },
      { input: { ...role, claims: { long: "x".repeat(2_049) } }, names: "role.claims" },
    ],
  },
  params: {
    valid: [
      { audience: "https://orders.test", scope: ["orders:read"], key_binding: "required" },
      { scope: [] },
      {},
    ],
    bad: [
      { input: { key_binding: "none" }, names: "params.key_binding" },
      { input: { scope: "orders:read" }, names: "params.scope" },
      { input: { audience: [] }, names: "params.audience" },
    ],
  },
  narrowing: {
    role: { ...role, scope: ["orders:read", "orders:write"], claims: { groups: ["agents"] } },
    wide: {},
    narrow: { audience: "https://orders.test", scope: ["orders:read"] },
    tooWide: [
      { audience: "https://elsewhere.test" },
      { scope: ["orders:read", "orders:admin"] },
      // The suite's holder proved no key.
      { key_binding: "required" },
    ],
  },
};

describeBackendContract({
  name: "JWT",
  backend: playingTheCore(jwtBackend),
  inputs,
  // There is nobody to be reached.
  unreachableConfig: null,
  protocol: null,
  selfContained: "an API verifies the token with the published keys, and asks nobody",
  start: startTokenUpstream,
});
