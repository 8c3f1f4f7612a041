import { execFile } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { freePort, startGuarded, type EmbeddedPostgres } from "@mayfly/embedded";
import type { TestTrustDomain } from "@mayfly/testkit";
import { until } from "../harness/until.ts";
import { BENCH_ISSUER } from "./bench-installation.ts";

const run = promisify(execFile);

/** An OpenBao beside Mayfly, on the same PostgreSQL, set up for equal work: fsync, audit, JWTs. */
export interface OpenBao extends AsyncDisposable {
  readonly version: string;
  readonly url: string;
  readonly pid: number;
}

export interface OpenBaoOptions {
  readonly server: EmbeddedPostgres;
  readonly trust: TestTrustDomain;
  /** `none`: a role that nobody can log in with, which shows OpenBao's own cost. */
  readonly password: "scram" | "none";
}

const READY_MS_MAX = 60_000;
const initialised = z.object({
  keys_base64: z.tuple([z.string()]).rest(z.string()),
  root_token: z.string(),
});

/** Null where `bao` is not on the PATH. */
export async function findOpenBao(): Promise<string | null> {
  try {
    const { stdout } = await run("bao", ["version"]);
    return stdout.trim();
  } catch {
    return null;
  }
}

export async function startOpenBao(version: string, options: OpenBaoOptions): Promise<OpenBao> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-openbao-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const [port, cluster] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const file = join(folder, "server.hcl");
  await writeFile(file, configuration(folder, url, port, cluster));
  const process_ = await startGuarded({
    command: "bao",
    args: ["server", `-config=${file}`],
    parentDeathSignal: "KILL",
    user: undefined,
    env: { PATH: process.env["PATH"] ?? "", HOME: folder },
    input: undefined,
    log: () => undefined,
  });
  started.defer(async () => {
    process_.signal("SIGKILL");
    await process_.exited;
  });
  const token = await unseal(url);
  await furnish(createCall(url, token), folder, options);
  const all = started.move();
  return {
    version,
    url,
    pid: process_.pid,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const configuration = (folder: string, url: string, port: number, cluster: number): string => `
storage "raft" { path = "${folder}" node_id = "n1" }
listener "tcp" { address = "127.0.0.1:${port}" tls_disable = true }
cluster_addr = "http://127.0.0.1:${cluster}"
api_addr = "${url}"
unsafe_allow_api_audit_creation = true
`;

type Call = (method: string, path: string, body?: unknown) => Promise<unknown>;
const createCall =
  (url: string, token: string | null): Call =>
  async (method, path, body) => {
    const response = await fetch(`${url}/v1/${path}`, {
      method,
      headers: token === null ? {} : { "x-vault-token": token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`OpenBao, ${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : (JSON.parse(text) as unknown);
  };

async function unseal(url: string): Promise<string> {
  const call = createCall(url, null);
  const answer = await until("OpenBao to listen", READY_MS_MAX, () =>
    call("PUT", "sys/init", { secret_shares: 1, secret_threshold: 1 }).catch(() => undefined),
  );
  const { keys_base64, root_token } = initialised.parse(answer);
  await call("PUT", "sys/unseal", { key: keys_base64[0] });
  await until("OpenBao to lead", READY_MS_MAX, () =>
    call("GET", "sys/health").then(
      () => true,
      () => undefined,
    ),
  );
  return root_token;
}

async function furnish(call: Call, folder: string, options: OpenBaoOptions): Promise<void> {
  const { server, trust, password } = options;
  const pem = createPublicKey(trust.key.privateKey).export({ type: "spki", format: "pem" });
  const withPassword = password === "scram" ? ` PASSWORD '{{password}}'` : "";
  const url = new URL(server.url("orders"));
  await call("PUT", "sys/audit/file", {
    type: "file",
    options: { file_path: join(folder, "audit.log") },
  });
  await call("POST", "sys/auth/jwt", { type: "jwt" });
  await call("POST", "auth/jwt/config", {
    jwt_validation_pubkeys: [pem.toString()],
    jwt_supported_algs: ["ES256"],
  });
  await call("PUT", "sys/policies/acl/app", {
    policy:
      'path "database/creds/*" { capabilities = ["read"] }\n' +
      'path "sys/leases/revoke" { capabilities = ["update"] }',
  });
  await call("POST", "auth/jwt/role/app", {
    role_type: "jwt",
    user_claim: "sub",
    bound_audiences: [BENCH_ISSUER],
    token_policies: ["app"],
    token_ttl: "1h",
    token_no_default_policy: true,
  });
  await call("POST", "sys/mounts/database", { type: "database" });
  await call("POST", "database/config/pg", {
    plugin_name: "postgresql-database-plugin",
    allowed_roles: "*",
    connection_url: `postgresql://{{username}}:{{password}}@${url.host}${url.pathname}?sslmode=disable`,
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    max_open_connections: 16,
    password_authentication: "scram-sha-256",
  });
  await call("POST", "database/roles/app", {
    db_name: "pg",
    creation_statements: `CREATE ROLE "{{name}}" LOGIN${withPassword} VALID UNTIL '{{expiration}}' IN ROLE app_reader;`,
    revocation_statements: 'DROP ROLE IF EXISTS "{{name}}";',
    default_ttl: "1h",
    max_ttl: "2h",
  });
}
