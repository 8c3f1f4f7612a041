import { systemClock, systemRandom } from "@mayfly/host";
import { createOutboundApis } from "@mayfly/net";
import { Secret, type PoolingHost, type Issued } from "@mayfly/spec";
import {
  createRecordingLog,
  createTestBackendHost,
  startTcpFaultProxy,
  type RecordingLog,
  type TcpFaultProxy,
} from "@mayfly/testkit";
import {
  BackendBench,
  type ContractRotation,
  type ContractUpstream,
  type HeldSession,
} from "@mayfly/testkit/contract";
import { z } from "zod";
import { asPolicy, neededRights } from "../needed-rights.ts";
import { leases, needsOfRole } from "../role-settings.ts";
import { vaultBackend } from "../vault-backend.ts";
import type { VaultServer } from "./vault-server.ts";

/** How what is issued is used, other than at the server itself. */
export interface UseOfMaterial {
  tryCredential(material: Issued["material"]): Promise<"accepted" | "refused">;
  openSession(material: Issued["material"]): Promise<HeldSession>;
}

export interface VaultUpstream extends ContractUpstream {
  readonly server: VaultServer;
  readonly proxy: TcpFaultProxy;
  readonly log: RecordingLog;
}

export const configAt = (
  at: { readonly host: string; readonly port: number },
  token: string,
): Readonly<Record<string, unknown>> => ({
  ...at,
  tls: "unsafe_disable",
  login: { token },
  call_seconds_max: 3,
});

/** Reads what the policy `orders` allows. */
export const useToken = (server: VaultServer): UseOfMaterial => {
  const tryCredential: UseOfMaterial["tryCredential"] = async ({ token }) => {
    if (!(token instanceof Secret)) throw new Error("no token");
    const { status } = await server.as(token.expose("upstream"), "GET", "secret/data/orders");
    return status === 200 ? "accepted" : "refused";
  };
  return {
    tryCredential,
    openSession: async (material) => ({
      alive: async () => (await tryCredential(material)) === "accepted",
      close: async () => undefined,
    }),
  };
};

export const CERTIFICATE_ROLE = {
  unleased: {
    path: "pki/issue/agents",
    method: "write",
    policies: ["pki-agents"],
    parameters: { common_name: { like: "*.agents.test" } },
    ttl_parameter: "ttl",
    revoke_path: "pki/revoke",
    secret: "private_key",
    shown: ["certificate", "serial_number"],
  },
} as const;
export const TOKEN_ROLE = {
  token: { policies: ["orders", "stock"], optional: ["orders", "stock"] },
} as const;

/** What every test's server has: a secret, and the policies that tokens of its roles have. */
export async function prepareVault({ api }: Pick<VaultServer, "api">): Promise<void> {
  await api("POST", "secret/data/orders", { data: { total: 3 } });
  const readable = { orders: "secret/data/orders", stock: "secret/data/orders", "db-reader": DB };
  for (const [name, path] of Object.entries(readable)) {
    const policy = `path "${path}" { capabilities = ["read"] }`;
    await api("POST", `sys/policies/acl/${name}`, { policy });
  }
  const policy = 'path "pki/issue/agents" { capabilities = ["update"] }';
  await api("POST", "sys/policies/acl/pki-agents", { policy });
}
const DB = "database/creds/reader";

/** Writes the policy of the type's page for these roles; answers a token with it. */
export async function brokerToken(
  server: Pick<VaultServer, "api">,
  hosts: readonly PoolingHost[],
  roles: readonly unknown[],
  spoil: (policy: string) => string = (policy) => policy,
): Promise<string> {
  const needs = roles.map((role) => needsOfRole(leases.parseRole(role)));
  const policy = hosts.map((host) => asPolicy(neededRights(host, needs))).join("");
  await server.api("POST", "sys/policies/acl/mayfly", { policy: spoil(policy) });
  const made = (await server.api("POST", "auth/token/create", {
    policies: ["mayfly"],
    ttl: "1h",
  })) as { auth: { client_token: string } };
  return made.auth.client_token;
}

const REVOKING = /path "sys\/leases\/revoke-prefix[^}]*\}\n/g;

/** A customer's Vault as the contract suite drives it; the broker comes by way of a proxy. */
export async function startVaultUpstream(
  server: VaultServer,
  given: { readonly role: unknown; readonly use: UseOfMaterial; stop?(): Promise<void> },
): Promise<VaultUpstream> {
  const proxy = await startTcpFaultProxy({ host: server.host, port: server.port });
  const log = createRecordingLog();
  const hostOf = (installation: string): PoolingHost =>
    createTestBackendHost({
      clock: systemClock,
      random: systemRandom,
      log,
      apis: createOutboundApis(),
      installation,
      quarantineSeconds: 1,
    });
  const hosts = ["contract", "stranger"].map(hostOf);
  const roles = [given.role, TOKEN_ROLE, CERTIFICATE_ROLE];
  const token = await brokerToken(server, hosts, roles);
  const here = { host: "127.0.0.1", port: proxy.port };
  return {
    server,
    proxy,
    log,
    clock: systemClock,
    config: configAt(here, token),
    role: given.role,
    params: {},
    host: (installation = "contract") => hostOf(installation),
    pass: (ms) => systemClock.sleep(ms),
    tryCredential: (material) => given.use.tryCredential(material),
    openSession: (material) => given.use.openSession(material),
    liveNames: () => liveNames(server),
    block: async () => {
      proxy.hold((piece) => piece.includes("POST /v1/auth/token/roles"));
      return { release: async () => proxy.release() };
    },
    route: { host: server.host, port: server.port, configAt: (at) => configAt(at, token) },
    forgeMark: (name) => forgeMark(server, name),
    weaken: async () => {
      await brokerToken(server, hosts, roles, (policy) => policy.replaceAll(REVOKING, ""));
      return {
        restore: async () => {
          await brokerToken(server, hosts, roles);
        },
      };
    },
    rotation: rotationOf(server, configAt(here, token), (more) =>
      brokerToken(server, hosts, roles, (policy) => policy + more),
    ),
    stop: async () => {
      await proxy.stop();
      await server.stop();
      await given.stop?.();
    },
  };
}

/** What the type's page adds to the broker's policy. */
export const ROTATING = `
path "auth/approle/role/mayfly/custom-secret-id" { capabilities = ["update"] }
path "auth/approle/role/mayfly/secret-id/lookup" { capabilities = ["update"] }
path "auth/approle/role/mayfly/secret-id/destroy" { capabilities = ["update"] }
path "auth/token/create/mayfly-broker" { capabilities = ["update"] }
`;

/** By what the broker's token is replaced, as the type's page has it. */
async function writeTokenRole({ api }: Pick<VaultServer, "api">): Promise<void> {
  await api("POST", "auth/token/roles/mayfly-broker", {
    allowed_policies: "mayfly",
    orphan: true,
    renewable: true,
    token_period: "1h",
  });
}
const TOKEN_PERIOD_SECONDS = 3_600;

const lookedUp = z.object({ data: z.object({ ttl: z.int() }) });
const withToken = z.looseObject({ login: z.looseObject({ token: z.string() }) });

/** `allow` writes the broker's policy with some more, and answers a token with it. */
function rotationOf(
  server: VaultServer,
  config: Readonly<Record<string, unknown>>,
  allow: (more: string) => Promise<string>,
): ContractRotation {
  const again = async (more: string): Promise<void> => {
    await allow(more);
  };
  return {
    madeBy: "upstream",
    login: async () => {
      await writeTokenRole(server);
      const token = await allow(ROTATING);
      return {
        config: { ...config, login: { token, token_role: "mayfly-broker" } },
        giveBack: () => again(""),
        lost: {
          kind: "ends_by_itself",
          secondsLeft: async (given) => {
            const { login } = withToken.parse(given);
            const answer = await server.as(login.token, "GET", "auth/token/lookup-self");
            return lookedUp.parse(answer.body).data.ttl;
          },
          secondsMax: TOKEN_PERIOD_SECONDS,
        },
        forbid: async () => {
          await again("");
          return { restore: () => again(ROTATING) };
        },
      };
    },
  };
}

export async function listOf(
  server: Pick<VaultServer, "api">,
  path: string,
): Promise<readonly string[]> {
  try {
    const body = (await server.api("GET", `${path}?list=true`)) as { data: { keys: string[] } };
    return body.data.keys;
  } catch (thrown) {
    if (thrown instanceof Error && thrown.message.includes(": 404")) return [];
    throw thrown;
  }
}

/** Of those whose tokens live. */
async function liveNames(server: VaultServer): Promise<readonly string[]> {
  const keys = await listOf(server, "sys/leases/lookup/auth/token/create/");
  return keys
    .filter((key) => /^mf_[a-z2-7]{8}_[0-9a-f]{32}-/.test(key))
    .map((key) => key.slice(0, 44))
    .toSorted();
}

async function forgeMark(server: VaultServer, name: string): Promise<void> {
  const roles = await listOf(server, "auth/token/roles");
  const real = roles.find((role) => role.startsWith(name));
  if (real === undefined) throw new Error("there is no role of this name");
  const forged = `${name}-${"0".repeat(64)}`;
  await server.api("POST", `auth/token/roles/${forged}`, { allowed_policies: "orders" });
  await server.api("POST", `auth/token/create/${forged}`, { policies: ["orders"] });
  await server.api("POST", `sys/leases/revoke-prefix/auth/token/create/${real}`, { sync: true });
  await server.api("DELETE", `auth/token/roles/${real}`);
}

/** The backend open on a server of one's own. */
export async function startVaultBench(upstream: VaultUpstream): Promise<{
  readonly bench: BackendBench;
  stop(): Promise<void>;
}> {
  const bench = new BackendBench({ backend: vaultBackend }, upstream);
  return {
    bench,
    stop: async () => {
      await bench.open.close();
      await upstream.stop();
    },
  };
}
