import { generateKeyPairSync } from "node:crypto";
import { systemClock } from "@mayfly/host";
import { Secret, type Issued } from "@mayfly/spec";
import {
  describeBackendContract,
  type BackendContractSubject,
  type ContractUpstream,
} from "@mayfly/testkit/contract";
import { webhookBackend } from "./index.ts";
import {
  AUDIENCE,
  configAt,
  minterHost,
  SIGNING_KEY,
  startMinter,
} from "./testing/start-minter.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const config = { url: AUDIENCE, signing_key: SIGNING_KEY };
const role = { fixed: { project: "orders" }, allowed: { scopes: ["read", "write"] } };

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      {
        ...config,
        audience: "minter",
        bearer: "canary-of-the-gateway",
        trial_mint: false,
        call_seconds_max: 2,
      },
      config,
    ],
    bad: [
      { input: { ...config, url: "http://minter.test/" }, names: "config.url" },
      { input: { ...config, url: "https://user:word@minter.test/" }, names: "config.url" },
      { input: { ...config, url: "https://minter.test/?a=b" }, names: "config.url" },
      { input: { ...config, url: "ftp://minter.test/" }, names: "config.url" },
      { input: { ...config, signing_key: "x" }, names: "config.signing_key" },
      {
        input: {
          ...config,
          signing_key: rsa.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
        },
        names: "config.signing_key",
      },
      { input: { ...config, bearer: "" }, names: "config.bearer" },
      { input: { ...config, call_seconds_max: 11 }, names: "config.call_seconds_max" },
    ],
    // A line of the key, since a description shows line breaks otherwise.
    secrets: [SIGNING_KEY.split("\n")[1] ?? "", "canary-of-the-gateway"],
  },
  role: {
    valid: [role, {}],
    bad: [
      { input: { allowed: { scopes: [] } }, names: "role.allowed.scopes" },
      { input: { allowed: { Scopes: ["a"] } }, names: "role.allowed.Scopes" },
      { input: { fixed: { a: null } }, names: "role.fixed.a" },
    ],
  },
  params: {
    valid: [{ allowed: { scopes: ["read"] } }, {}],
    bad: [{ input: { allowed: { scopes: "read" } }, names: "params.allowed.scopes" }],
  },
  narrowing: {
    role,
    wide: {},
    narrow: { allowed: { scopes: ["read"] } },
    tooWide: [{ allowed: { scopes: ["admin"] } }, { allowed: { others: ["read"] } }],
  },
};

const tokenOf = ({ token }: Issued["material"]): string => {
  if (!(token instanceof Secret)) throw new Error("no token");
  return token.expose("upstream");
};

async function start(): Promise<ContractUpstream> {
  const { accepts, at, block, db, operations, stop } = await startMinter();
  return {
    clock: systemClock,
    config: configAt(at),
    role,
    params: {},
    host: minterHost,
    pass: (ms) => systemClock.sleep(ms),
    tryCredential: async (material) => (accepts(tokenOf(material)) ? "accepted" : "refused"),
    openSession: async (material) => {
      if (!accepts(tokenOf(material))) throw new Error("refused");
      return { alive: async () => accepts(tokenOf(material)), close: async () => undefined };
    },
    liveNames: async () =>
      db
        .prepare("SELECT name FROM leases WHERE ended = 0")
        .all()
        .map(({ name }) => String(name)),
    block: async () => {
      const held = block();
      return { release: async () => held.resolve(undefined) };
    },
    forgeMark: async (name) => {
      db.prepare("UPDATE leases SET mark = 'lease:forged' WHERE name = ?").run(name);
    },
    route: { ...at, configAt },
    weaken: async () => {
      const { probe } = operations;
      Object.assign(operations, { probe: () => ({ result: "refused", looked: { seen: 0 } }) });
      return {
        restore: async () => {
          Object.assign(operations, { probe });
        },
      };
    },
    stop,
  };
}

describeBackendContract({
  name: "Webhook",
  backend: webhookBackend,
  inputs,
  // Nothing listens on port 1 (tcpmux).
  unreachableConfig: { ...config, url: "http://127.0.0.1:1/", tls: "unsafe_disable" },
  protocol: "http",
  start,
});
