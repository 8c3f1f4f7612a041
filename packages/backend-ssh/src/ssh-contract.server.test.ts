import { describe } from "vitest";
import { requireOrExplain } from "@mayfly/embedded";
import { describeBackendContract, type BackendContractSubject } from "@mayfly/testkit/contract";
import { generatedKey } from "./generated-key.ts";
import { sshBackend } from "./ssh-backend.ts";
import { playingTheCore, startSshUpstream } from "./testing/ssh-upstream.ts";

const sshd = await requireOrExplain("sshd");
const { private: ownKey, public: hostKey } = generatedKey();
const host = { host: "web-1.acme.test", host_key: hostKey };
const kmsKey = {
  source: "aws_kms",
  key_arn: "arn:aws:kms:eu-central-1:123456789012:key/mrk-0a1b",
  access_key_id: "AKIAIOSFODNN7EXAMPLE",
  secret_access_key: "canary-of-a-secret-access-key",
};
const config = { hosts: [host], private_key: ownKey };
const role = {
  principals: ["deploy", "backup"],
  source_addresses: ["10.0.0.0/8", "2001:db8::/32"],
  extensions: ["permit-pty", "permit-port-forwarding"],
};

const inputs: BackendContractSubject["inputs"] = {
  config: {
    valid: [
      {
        ...config,
        hosts: [{ ...host, port: 2_222 }],
        user: "told",
        leeway_seconds: 0,
        authority_key: kmsKey,
      },
      config,
      {
        ...config,
        authority_key: { source: "file", file: "/var/run/secrets/mayfly-backends/ssh-ca" },
        also_trusted: [hostKey],
      },
    ],
    bad: [
      { input: {}, names: "config.hosts" },
      { input: { ...config, hosts: [] }, names: "config.hosts" },
      { input: { ...config, hosts: [{ ...host, host: "a b" }] }, names: "config.hosts[0].host" },
      { input: { ...config, hosts: [{ host: "a" }] }, names: "config.hosts[0].host_key" },
      {
        input: { ...config, hosts: [{ ...host, host_key: ownKey }] },
        names: "config.hosts[0].host_key",
      },
      { input: { ...config, private_key: hostKey }, names: "config.private_key" },
      { input: { ...config, private_key: "none" }, names: "config.private_key" },
      { input: { ...config, user: "Root!" }, names: "config.user" },
      { input: { ...config, leeway_seconds: 301 }, names: "config.leeway_seconds" },
      ...["/etc/shadow", "/run/secrets/sealing-keys", "/var/run/secrets/mayfly-backends/../x"].map(
        (file) => ({
          input: { ...config, authority_key: { source: "file", file } },
          names: "config.authority_key.file",
        }),
      ),
      { input: { ...config, authority_key: { source: "vault" } }, names: "config.authority_key" },
      {
        input: { ...config, authority_key: { ...kmsKey, key_arn: "alias/mayfly" } },
        names: "config.authority_key.key_arn",
      },
      {
        input: { ...config, authority_key: { ...kmsKey, endpoint: "http://kms.test" } },
        names: "config.authority_key.endpoint",
      },
      { input: { ...config, also_trusted: [ownKey] }, names: "config.also_trusted[0]" },
    ],
    secrets: [ownKey.split("\n")[2] ?? ownKey, kmsKey.secret_access_key],
  },
  role: {
    valid: [
      { ...role, force_command: "/usr/bin/rsync --server", key: "workload" },
      { principals: ["deploy"] },
    ],
    bad: [
      { input: {}, names: "role.principals" },
      { input: { principals: [] }, names: "role.principals" },
      { input: { principals: ["*"] }, names: "role.principals[0]" },
      { input: { principals: ["a,root"] }, names: "role.principals[0]" },
      { input: { ...role, source_addresses: ["10.0.0.0/33"] }, names: "role.source_addresses[0]" },
      { input: { ...role, source_addresses: ["10.1.2.3/8"] }, names: "role.source_addresses[0]" },
      { input: { ...role, source_addresses: ["!10.0.0.1"] }, names: "role.source_addresses[0]" },
      { input: { ...role, source_addresses: ["web-1"] }, names: "role.source_addresses[0]" },
      { input: { ...role, force_command: "a\nb" }, names: "role.force_command" },
      { input: { ...role, extensions: ["permit-all"] }, names: "role.extensions[0]" },
      { input: { ...role, key: "broker" }, names: "role.key" },
    ],
  },
  params: {
    valid: [
      { principals: ["deploy"], source_addresses: ["10.0.0.0/8"], public_key: hostKey },
      { force_command: "uptime", extensions: [] },
      {},
    ],
    bad: [
      { input: { principals: [] }, names: "params.principals" },
      { input: { public_key: ownKey }, names: "params.public_key" },
      { input: { public_key: `${hostKey}\n${hostKey}` }, names: "params.public_key" },
      { input: { source_addresses: [] }, names: "params.source_addresses" },
      { input: { force_command: "" }, names: "params.force_command" },
    ],
  },
  narrowing: {
    role,
    wide: {},
    narrow: {
      principals: ["deploy"],
      source_addresses: ["10.0.0.0/8"],
      force_command: "uptime",
      extensions: [],
    },
    tooWide: [
      { principals: ["root"] },
      { source_addresses: ["0.0.0.0/0"] },
      { extensions: ["permit-agent-forwarding"] },
    ],
  },
};

describe.runIf(sshd !== undefined)("on a real sshd", () => {
  describeBackendContract({
    name: "SSH",
    backend: playingTheCore(sshBackend),
    inputs,
    // Nothing listens on port 1 (tcpmux). A mint asks no host, but an end does; what becomes of
    // one after its effect is in `failing-host.server.test.ts`.
    unreachableConfig: { ...config, hosts: [{ host: "127.0.0.1", port: 1, host_key: hostKey }] },
    protocol: "tcp",
    selfContained: "a host verifies the certificate by the authority's key, and asks nobody",
    start: () => startSshUpstream(sshd ?? ""),
  });
});
