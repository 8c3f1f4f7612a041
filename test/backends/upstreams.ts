import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  requireOrExplain,
  startMoto,
  startOpenbao,
  startRabbitmq,
  startRedis,
  startSshd,
  type TestServer,
} from "@mayfly/embedded";
import { Redis } from "ioredis";
import { startCustomerMysql } from "../../packages/backend-mysql/src/testing/start-customer-mysql.ts";
import { createMinter } from "../../packages/backend-webhook/src/testing/reference-minter.ts";
import { accepted, type Installation, type RunningBroker } from "../harness/index.ts";

/** A backend of a type on its real server (AWS: moto), with one role; it answers its own end. */
export interface Upstream {
  readonly type: string;
  /** Null: it needs none beside Mayfly. */
  readonly server: TestServer | null;
  readonly register: (at: Registrar) => Promise<() => Promise<void>>;
}

export interface Registrar {
  readonly mayfly: Installation;
  readonly broker: RunningBroker;
  /** The backend `name`, and its role `name/one`. */
  readonly put: (name: string, backend: object, role: object) => Promise<void>;
}

const OWN = { username: "mayfly", password: randomBytes(16).toString("hex") };
const CLEAR = { tls: "unsafe_disable" };
const SSH_HOST_COMMAND = fileURLToPath(
  new URL("../../packages/backend-ssh/host/mayfly-ssh-host", import.meta.url),
);

export const registrar = (mayfly: Installation, broker: RunningBroker): Registrar => ({
  mayfly,
  broker,
  put: async (name, backend, role) => {
    const [at, under] = [`/v1/backends/${name}`, `/v1/roles/${name}/one`];
    accepted(await broker.api.admin("PUT", at, backend), at);
    const all = {
      description: "Orders, to look at",
      ttl_max: "10m",
      data_class: "internal",
      reversibility: "read_only",
      environment: "test",
      ...role,
    };
    accepted(await broker.api.admin("PUT", under, all), under);
  },
});

/** Those that this machine has the servers of, each of which says once what it lacks. */
export async function availableUpstreams(): Promise<readonly Upstream[]> {
  const found: Upstream[] = [];
  for (const upstream of UPSTREAMS) {
    const { server } = upstream;
    if (server === null || (await requireOrExplain(server)) !== undefined) found.push(upstream);
  }
  return found;
}

/** Beside these every installation of tests has `orders-db`, of the type `postgres`. */
const UPSTREAMS: readonly Upstream[] = [
  { type: "mysql", server: "mariadb", register: mysql },
  { type: "redis", server: "redis", register: redis },
  { type: "rabbitmq", server: "rabbitmq", register: rabbitmq },
  { type: "aws", server: "moto", register: aws },
  { type: "vault", server: "openbao", register: vault },
  { type: "jwt", server: null, register: jwt },
  { type: "x509", server: null, register: x509 },
  { type: "ssh", server: "sshd", register: ssh },
  { type: "webhook", server: null, register: webhook },
];

async function mysql({ put }: Registrar): Promise<() => Promise<void>> {
  const customer = await startCustomerMysql();
  await put("mysql", { type: "mysql", config: customer.config }, { member_of: ["orders_reader"] });
  return () => customer.stop();
}

async function redis({ put }: Registrar): Promise<() => Promise<void>> {
  const server = there(await startRedis());
  const admin = new Redis(server.url);
  const rights = [
    ...["setuser", "getuser", "deluser", "list", "save", "dryrun"].map((name) => `+acl|${name}`),
    ...["list", "kill", "setname"].map((name) => `+client|${name}`),
  ];
  await admin.call("ACL", "SETUSER", OWN.username, "on", `>${OWN.password}`, "-@all", ...rights);
  admin.disconnect();
  const config = { nodes: [{ host: server.host, port: server.port }], ...OWN, ...CLEAR };
  const role = { keys: { read: ["orders:*"] }, commands: ["@read", "@connection"] };
  await put("redis", { type: "redis", config }, role);
  return () => server.stop();
}

async function rabbitmq({ put }: Registrar): Promise<() => Promise<void>> {
  const server = there(await startRabbitmq());
  const { host, apiPort, amqpPort } = server;
  const credentials = Buffer.from(`${server.username}:${server.password}`).toString("base64");
  const answer = await fetch(`http://${host}:${apiPort}/api/users/${OWN.username}`, {
    method: "PUT",
    headers: { authorization: `Basic ${credentials}` },
    body: JSON.stringify({ password: OWN.password, tags: "administrator" }),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  const amqp = { port: amqpPort, tls: false };
  const config = { host, port: apiPort, amqp, ...OWN, ...CLEAR };
  await put("rabbitmq", { type: "rabbitmq", config }, { vhost: "/", read: "orders\\..*" });
  return () => server.stop();
}

async function aws({ put }: Registrar): Promise<() => Promise<void>> {
  const server = there(await startMoto());
  const origin = `http://${server.host}:${server.port}`;
  const credential = "Credential=admin/20260101/us-east-1/iam/aws4_request";
  const trust = {
    Version: "2012-10-17",
    Statement: { Effect: "Allow", Principal: { AWS: "*" }, Action: "sts:AssumeRole" },
  };
  const answer = await fetch(origin, {
    method: "POST",
    headers: { authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=host, Signature=x` },
    body: new URLSearchParams({
      Version: "2010-05-08",
      Action: "CreateRole",
      RoleName: "reader",
      AssumeRolePolicyDocument: JSON.stringify(trust),
    }),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  const config = {
    account_id: "123456789012",
    region: "eu-central-1",
    credentials: { kind: "keys", access_key_id: "A".repeat(20), secret_access_key: "own" },
    endpoints: { sts: origin, iam: origin },
    unsafe_propagation_seconds: 1,
    ...CLEAR,
  };
  const statements = [{ actions: ["s3:GetObject"], resources: ["arn:aws:s3:::orders/*"] }];
  await put("aws", { type: "aws", config }, { iam_roles: ["reader"], statements });
  return () => server.stop();
}

async function vault({ put }: Registrar): Promise<() => Promise<void>> {
  const server = there(await startOpenbao());
  const { host, port, rootToken: token } = server;
  const answer = await fetch(`http://${host}:${port}/v1/sys/policies/acl/orders`, {
    method: "POST",
    headers: { "x-vault-token": token },
    body: JSON.stringify({ policy: 'path "secret/data/orders" { capabilities = ["read"] }' }),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  const config = { host, port, login: { token }, ...CLEAR };
  await put("vault", { type: "vault", config }, { token: { policies: ["orders"] } });
  return () => server.stop();
}

async function jwt({ put }: Registrar): Promise<() => Promise<void>> {
  const audience = "https://orders.system.test";
  const config = { audiences: [audience], verifier_leeway_seconds: 1 };
  await put("jwt", { type: "jwt", config }, { audience, scope: ["orders:read"], ttl_max: "5m" });
  return async () => undefined;
}

async function x509({ put }: Registrar): Promise<() => Promise<void>> {
  const config = {
    domains: ["acme.test"],
    crl_seconds: 10,
    connection_seconds_max: 0,
    leeway_seconds: 0,
  };
  await put("x509", { type: "x509", config }, { uris: ["spiffe://acme.test/orders-agent"] });
  return async () => undefined;
}

async function ssh({ put }: Registrar): Promise<() => Promise<void>> {
  const program = (await requireOrExplain("sshd")) ?? "";
  const server = await startSshd(program, { hostCommand: SSH_HOST_COMMAND });
  const { host, port, user, hostKey, ownKey } = server;
  const config = {
    hosts: [{ host, port, host_key: hostKey }],
    user,
    private_key: ownKey,
    leeway_seconds: 0,
  };
  await put("ssh", { type: "ssh", config }, { principals: [user] });
  return () => server.stop();
}

async function webhook({ mayfly, put }: Registrar): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-minter-"));
  const pair = generateKeyPairSync("ed25519");
  const audience = "https://minter.test/mayfly";
  const minter = createMinter({
    publicKey: pair.publicKey.export({ format: "jwk" }),
    issuer: `${mayfly.issuer}/backends/webhook`,
    audience,
    file: join(folder, "leases.db"),
  });
  const server = createServer(minter.serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  const config = {
    url: `http://127.0.0.1:${address.port}/mayfly`,
    audience,
    signing_key: pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    ...CLEAR,
  };
  await put("webhook", { type: "webhook", config }, { allowed: { scopes: ["orders:read"] } });
  return async () => {
    server.close();
    server.closeAllConnections();
    minter.db.close();
    await rm(folder, { recursive: true });
  };
}

/** `requireOrExplain` found it before. */
function there<T extends { readonly missing?: unknown }>(
  server: T,
): Exclude<T, { missing: string }> {
  if (server.missing !== undefined) throw new TypeError("a server went away");
  return server as Exclude<T, { missing: string }>;
}
