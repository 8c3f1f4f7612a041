import { describe } from "vitest";
import { requireOrExplain } from "@mayfly/embedded";
import { describeBackendContract, type BackendContractSubject } from "@mayfly/testkit/contract";
import { x509Backend } from "./x509-backend.ts";
import { startCertificateUpstream, playingTheCore } from "./testing/certificate-upstream.ts";

const openssl = await requireOrExplain("openssl");
const config = { domains: ["acme.test", "b.test"] };
const role = {
  uris: ["spiffe://acme.test/agent"],
  dns_names: ["a.acme.test", "b.acme.test"],
  emails: ["agent@acme.test"],
};

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      {
        ...config,
        algorithm: "EdDSA",
        crl_seconds: 3_600,
        servers_check_crl: false,
        connection_seconds_max: 0,
        leeway_seconds: 120,
      },
      config,
    ],
    bad: [
      { input: {}, names: "config.domains" },
      { input: { domains: [] }, names: "config.domains" },
      { input: { domains: ["*.acme.test"] }, names: "config.domains[0]" },
      { input: { domains: ["Acme.test"] }, names: "config.domains[0]" },
      { input: { ...config, algorithm: "ES256" }, names: "config.algorithm" },
      { input: { ...config, crl_seconds: 0 }, names: "config.crl_seconds" },
      { input: { ...config, crl_seconds: 3_601 }, names: "config.crl_seconds" },
      { input: { ...config, leeway_seconds: 121 }, names: "config.leeway_seconds" },
      { input: { ...config, connection_seconds_max: 181 }, names: "config.connection_seconds" },
      { input: { ...config, private_key: "x" }, names: "config.private_key" },
    ],
    secrets: [],
  },
  role: {
    valid: [
      { ...role, common_name: "orders agent", organization: "Acme", key: "workload" },
      { common_name: "orders" },
      { dns_names: ["a.acme.test"] },
    ],
    bad: [
      { input: {}, names: "role.uris" },
      { input: { uris: ["/relative"] }, names: "role.uris[0]" },
      { input: { uris: ["spiffe://acme.test/a b"] }, names: "role.uris[0]" },
      { input: { uris: ["spiffe://acme.test/a#b"] }, names: "role.uris[0]" },
      { input: { uris: ["https://user@acme.test/"] }, names: "role.uris[0]" },
      { input: { uris: ["https://10.0.0.1/"] }, names: "role.uris[0]" },
      { input: { uris: ["urn:acme:agent"] }, names: "role.uris[0]" },
      { input: { dns_names: ["*.acme.test"] }, names: "role.dns_names[0]" },
      { input: { dns_names: ["a.acme.test\u0000.b.test"] }, names: "role.dns_names[0]" },
      { input: { emails: ["agent"] }, names: "role.emails[0]" },
      { input: { emails: ["a@b@acme.test"] }, names: "role.emails[0]" },
      { input: { common_name: "a\nb" }, names: "role.common_name" },
      { input: { common_name: "" }, names: "role.common_name" },
      { input: { ...role, organization: "x".repeat(65) }, names: "role.organization" },
      { input: { ...role, key: "broker" }, names: "role.key" },
    ],
  },
  params: {
    valid: [{ uris: [], dns_names: ["a.acme.test"], emails: [] }, {}],
    bad: [
      { input: { csr: "no request" }, names: "params.csr" },
      { input: { csr: "x".repeat(9_000) }, names: "params.csr" },
      { input: { common_name: "root" }, names: "params.common_name" },
      { input: { dns_names: "a.acme.test" }, names: "params.dns_names" },
    ],
  },
  narrowing: {
    role,
    wide: {},
    narrow: { uris: [], dns_names: ["a.acme.test"], emails: [] },
    tooWide: [
      { uris: ["spiffe://acme.test/other"] },
      { dns_names: ["a.acme.test", "c.acme.test"] },
      { emails: ["root@acme.test"] },
      // Nothing would be left to name the holder by.
      { uris: [], dns_names: [], emails: [] },
    ],
  },
};

describe.runIf(openssl !== undefined)("by OpenSSL", () => {
  describeBackendContract({
    name: "X.509",
    backend: playingTheCore(x509Backend),
    inputs,
    // There is nobody to be reached.
    unreachableConfig: null,
    protocol: null,
    selfContained: "a server verifies the certificate by the authority's documents",
    start: () => startCertificateUpstream(openssl ?? ""),
  });
});
