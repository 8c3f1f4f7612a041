import type { BackendContractSubject } from "@mayfly/testkit/contract";

const canary = "hvs.canary-of-the-broker's own token";
const config = { host: "vault.test", login: { token: canary } };
const approle = { role_id: "mayfly", secret_id: canary };
const engine = { path: "database/creds/reader", policies: ["db"], secret: "password" };
const certificate = {
  path: "pki/issue/agents",
  method: "write",
  policies: ["pki"],
  secret: "private_key",
  ttl_parameter: "ttl",
};

/** What the contract suite needs of inputs, the same for every server. */
export const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      {
        ...config,
        port: 443,
        tls: "unsafe_disable",
        namespace: "team-a/agents",
        login: { approle: { mount: "roles", ...approle } },
        call_seconds_max: 3,
      },
      config,
      { ...config, login: { approle: { ...approle, previous_secret_id: canary } } },
      { ...config, login: { token: canary, token_role: "mayfly", previous_token: canary } },
      {
        ...config,
        login: { jwt: { role: "mayfly", file: "/var/run/secrets/mayfly-backends/token" } },
      },
      { ...config, login: { kubernetes: { role: "mayfly" } } },
    ],
    bad: [
      { input: { ...config, host: "a b" }, names: "config.host" },
      { input: { ...config, port: 0 }, names: "config.port" },
      { input: { ...config, namespace: "../up" }, names: "config.namespace" },
      { input: { ...config, namespace: "a//b" }, names: "config.namespace" },
      { input: { ...config, login: {} }, names: "config.login" },
      { input: { ...config, login: { token: canary, approle } }, names: "config.login" },
      { input: { ...config, login: { approle, token_role: "mayfly" } }, names: "config.login" },
      { input: { ...config, login: { ldap: {} } }, names: "config.login.ldap" },
      {
        input: { ...config, login: { jwt: { role: "mayfly", file: "/etc/shadow" } } },
        names: "config.login.jwt.file",
      },
      ...["/var/run/secrets/../x", "/var/run/secrets/sealing-keys", "/run/secrets/x"].map(
        (file) => ({
          input: { ...config, login: { kubernetes: { role: "m", file } } },
          names: "config.login.kubernetes.file",
        }),
      ),
      { input: { ...config, tls: "prefer" }, names: "config.tls" },
      { input: { ...config, ca: "no certificate" }, names: "config.ca" },
      { input: { ...config, call_seconds_max: 31 }, names: "config.call_seconds_max" },
    ],
    secrets: [canary.slice(0, 20)],
  },
  role: {
    valid: [
      {
        dynamic: {
          ...engine,
          method: "write",
          parameters: {
            size: { one_of: ["small", "large"] },
            name: { like: "*.orders.test" },
            format: { fixed: "pem" },
          },
          also: ["connection_url"],
          shown: ["username"],
        },
      },
      { dynamic: engine },
      { token: { policies: ["orders"], optional: ["orders"], num_uses: 3, orphan: false } },
      { unleased: { ...certificate, revoke_path: "pki/revoke" } },
    ],
    bad: [
      { input: {}, names: "role" },
      { input: { token: { policies: ["a"] }, dynamic: engine }, names: "role" },
      { input: { token: { policies: [] } }, names: "role.token.policies" },
      { input: { token: { policies: ["root"] } }, names: "role.token.policies[0]" },
      { input: { token: { policies: ["a,root"] } }, names: "role.token.policies[0]" },
      { input: { token: { policies: ["a"], num_uses: 0 } }, names: "role.token.num_uses" },
      { input: { token: { policies: ["a"], optional: ["b"] } }, names: "role.token.optional" },
      { input: { token: { policies: ["a"], period: 5 } }, names: "role.token.period" },
      { input: { dynamic: { ...engine, path: "auth/token/create" } }, names: "role.dynamic.path" },
      { input: { dynamic: { ...engine, path: "sys/raw/x" } }, names: "role.dynamic.path" },
      { input: { dynamic: { ...engine, path: "a/../sys/raw" } }, names: "role.dynamic.path" },
      { input: { dynamic: { ...engine, path: "a/b?list=true" } }, names: "role.dynamic.path" },
      {
        input: { dynamic: { ...engine, parameters: { a: { fixed: 1 } } } },
        names: "role: parameters",
      },
      {
        input: {
          dynamic: { ...engine, method: "write", parameters: { a: { fixed: 1, like: "*" } } },
        },
        names: "role.dynamic.parameters.a",
      },
      { input: { unleased: { ...certificate, method: "read" } }, names: "role: unleased" },
      {
        input: { unleased: { ...certificate, parameters: { ttl: { fixed: "1h" } } } },
        names: "role: ttl_parameter",
      },
    ],
  },
  params: {
    valid: [{ policies: ["orders"], num_uses: 2, parameters: { size: "small" } }, {}],
    bad: [
      { input: { path: "other" }, names: "params.path" },
      { input: { policies: ["root"] }, names: "params.policies[0]" },
      { input: { parameters: { "Not-a-name": 1 } }, names: "params.parameters" },
    ],
  },
  narrowing: {
    role: { token: { policies: ["orders", "stock"], optional: ["orders"], num_uses: 5 } },
    wide: {},
    narrow: { policies: ["stock"], num_uses: 1 },
    tooWide: [
      { policies: ["orders", "prices"] },
      // It may be the one that denies.
      { policies: ["orders"] },
      { num_uses: 6 },
      { parameters: { size: "small" } },
    ],
  },
};

/** Nothing listens on port 1 (tcpmux). */
export const unreachableConfig = {
  host: "127.0.0.1",
  port: 1,
  tls: "unsafe_disable",
  login: { token: "canary-of-nobody" },
};
