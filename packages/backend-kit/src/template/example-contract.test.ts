import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import { Secret, type Issued } from "@mayfly/spec";
import { createRecordingLog, createTestBackendHost } from "@mayfly/testkit";
import {
  describeBackendContract,
  type BackendContractSubject,
  type ContractUpstream,
} from "@mayfly/testkit/contract";
import { exampleBackend } from "./index.ts";
import { FAKE_TOKEN, startFakeExample } from "./testing/fake-example.ts";

const config = { host: "api.test", token: FAKE_TOKEN };
const role = { scopes: ["orders.read", "orders.write"] };

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [{ ...config, port: 8443, tls: "unsafe_disable", call_seconds_max: 2 }, config],
    bad: [
      { input: { ...config, host: "api test" }, names: "config.host" },
      { input: { ...config, token: "" }, names: "config.token" },
      { input: { ...config, call_seconds_max: 11 }, names: "config.call_seconds_max" },
    ],
    secrets: [FAKE_TOKEN],
  },
  role: {
    valid: [role],
    bad: [
      { input: {}, names: "role.scopes" },
      { input: { scopes: ["Orders"] }, names: "role.scopes[0]" },
    ],
  },
  params: {
    valid: [{ scopes: ["orders.read"] }, {}],
    bad: [{ input: { scopes: [] }, names: "params.scopes" }],
  },
  narrowing: {
    role,
    wide: {},
    narrow: { scopes: ["orders.read"] },
    tooWide: [{ scopes: ["orders.delete"] }],
  },
};

function accountOf(material: Issued["material"]): readonly [string, string] {
  const { username, password } = material;
  if (typeof username !== "string" || !(password instanceof Secret)) throw new Error("no account");
  return [username, password.expose("upstream")];
}

async function start(): Promise<ContractUpstream> {
  const fake = await startFakeExample(systemClock);
  const reached = { token: FAKE_TOKEN, tls: "unsafe_disable" };
  const at = { host: fake.host, port: fake.port };
  const host = (installation = "contract") =>
    createTestBackendHost({
      clock: systemClock,
      random: systemRandom,
      log: createRecordingLog(),
      apis: createOutboundApis(),
      installation,
      quarantineSeconds: 1,
    });
  return {
    clock: systemClock,
    config: { ...reached, ...at },
    role,
    params: {},
    host,
    pass: (ms) => systemClock.sleep(ms),
    tryCredential: async (material) =>
      fake.accepts(...accountOf(material)) ? "accepted" : "refused",
    openSession: async (material) => {
      const [name, password] = accountOf(material);
      const account = fake.accounts.get(name);
      if (account === undefined || !fake.accepts(name, password)) throw new Error("refused");
      account.sessions++;
      return {
        alive: async () => fake.accounts.get(name) === account,
        close: async () => undefined,
      };
    },
    liveNames: async () => [...fake.accounts.keys()],
    block: async () => {
      const blocked = fake.block();
      return { release: async () => blocked.release() };
    },
    forgeMark: async (name) => {
      const account = fake.accounts.get(name);
      if (account !== undefined) account.mark = "forged";
    },
    route: { ...at, configAt: (other) => ({ ...reached, ...other }) },
    weaken: async () => {
      fake.rights.delete("accounts.write");
      return {
        restore: async () => {
          fake.rights.add("accounts.write");
        },
      };
    },
    stop: () => fake.stop(),
  };
}

describeBackendContract({
  name: "Example",
  backend: exampleBackend,
  inputs,
  // Nothing listens on port 1 (tcpmux).
  unreachableConfig: { ...config, host: "127.0.0.1", port: 1, tls: "unsafe_disable" },
  protocol: "http",
  start,
});
