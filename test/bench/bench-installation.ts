import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { createOrdersDatabase } from "@mayfly/dev";
import type { EmbeddedPostgres } from "@mayfly/embedded";
import { systemClock, systemRandom } from "@mayfly/host";
import { storeBootstrapTokenSha256 } from "@mayfly/postgres";
import { createKeyFile } from "@mayfly/seal";
import { createTestTrustDomain, type TestTrustDomain } from "@mayfly/testkit";
import { createBrokerApi, type BrokerApi } from "../harness/broker-api.ts";
import { createLedgerDatabase, type LedgerDatabase } from "../harness/ledger-database.ts";
import { accepted, BACKEND, backendConfig, TRUST_DOMAIN } from "../harness/registration.ts";
import {
  SOURCES,
  startService,
  type Environment,
  type ServiceName,
  type ServiceProcess,
} from "../harness/service-process.ts";
import { until } from "../harness/until.ts";
import type { BenchWorld } from "./bench-world.ts";

export const BENCH_ISSUER = "https://mayfly.bench.test";

/** A Mayfly of real processes with the settings of production, for one row of the benchmark. */
export interface BenchInstallation extends AsyncDisposable {
  readonly server: EmbeddedPostgres;
  readonly ledgerDatabase: LedgerDatabase;
  readonly trust: TestTrustDomain;
  /** The superuser's connections. */
  readonly ledger: postgres.Sql;
  readonly customer: postgres.Sql;
  readonly api: BrokerApi;
  readonly broker: ServiceProcess;
  readonly worker: ServiceProcess;
  readonly environment: (service: ServiceName) => Environment;
}

export interface BenchInstallationOptions {
  /** Merged into the backend's configuration. */
  readonly backend?: Readonly<Record<string, unknown>>;
  readonly settings?: Environment;
  /** Of the broker alone. */
  readonly broker?: Environment;
  /** Of the worker alone. */
  readonly worker?: Environment;
  readonly policies?: string;
  /**
   * `superuser`: the server's own, as the rivals have it. Default: Mayfly's, which has no more than
   * it needs; from PostgreSQL 16 that costs time for each role that it has made and that lives.
   */
  readonly administrator?: "least" | "superuser";
}

/** As infra/image/bin starts them. */
export const SERVICE_NODE_OPTIONS = "--max-semi-space-size=64";
const FIRST_SWEEP_MS_MAX = 60_000;
/** Limits of how much may live are for people's mistakes; here a round makes 10⁵ leases. */
const MANY = {
  MAYFLY_LIVE_LEASES_MAX_PER_ROLE: "10000000",
  MAYFLY_LIVE_LEASES_MAX_PER_WORKLOAD: "1000000",
} as const;
export const BENCH_ROLE = `${BACKEND}/reader`;
const POLICIES = `
@id("agents-use-orders")
permit (principal, action in Action::"credential", resource)
when { principal.trust_root == "${TRUST_DOMAIN}" };
`;

/** Ledger and customer's database are on one server, as all other rivals have it. */
export async function startBenchInstallation(
  world: BenchWorld,
  options: BenchInstallationOptions = {},
): Promise<BenchInstallation> {
  await using started = new AsyncDisposableStack();
  const server = started.use(await world.startPostgres());
  const folder = await mkdtemp(join(tmpdir(), "mayfly-bench-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const keyFile = join(folder, "sealing-keys.json");
  await createKeyFile(keyFile, systemRandom);
  const ledgerDatabase = await createLedgerDatabase(server);
  const adminToken = `mayfly_admin_${randomBytes(32).toString("base64url")}`;
  const hash = createHash("sha256").update(adminToken).digest("hex");
  await storeBootstrapTokenSha256(ledgerDatabase.url, hash, "replace");
  const password = randomBytes(24).toString("base64url");
  const orders = await createOrdersDatabase(
    { host: server.host, port: server.port, superuserUrl: server.url("postgres") },
    password,
  );
  const trust = createTestTrustDomain({
    clock: systemClock,
    audience: BENCH_ISSUER,
    trustDomain: TRUST_DOMAIN,
  });
  const ledger = connection(started, ledgerDatabase.url);
  const customer = connection(started, server.url("orders"));
  const environment = environmentOf(world, ledgerDatabase, keyFile, options.settings ?? {});
  const ofWorker = { ...environment("worker"), ...options.worker };
  const worker = await startService("worker", ofWorker, SOURCES);
  started.defer(() => worker.kill());
  const own = { ...environment("broker"), ...options.broker };
  const broker = await startService("broker", own, SOURCES);
  started.defer(() => broker.kill());
  const listening = await broker.line("broker listens");
  const { port } = JSON.parse(listening) as { readonly port: number };
  const api = createBrokerApi(`http://127.0.0.1:${port}`, adminToken);
  await firstSweep(ledger);
  const { user, password: superuserPassword } = server.superuser;
  const administrator =
    options.administrator === "superuser" ? { username: user, password: superuserPassword } : {};
  const config = { ...backendConfig(orders), ...administrator, ...options.backend };
  await register(api, config, trust, options.policies);
  const all = started.move();
  return {
    server,
    ledgerDatabase,
    trust,
    ledger,
    customer,
    api,
    broker,
    worker,
    environment,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function connection(started: AsyncDisposableStack, url: string): postgres.Sql {
  const sql = postgres(url, { max: 2, onnotice: () => undefined });
  started.defer(() => sql.end({ timeout: 1 }));
  return sql;
}

const environmentOf =
  (world: BenchWorld, ledger: LedgerDatabase, keyFile: string, own: Environment) =>
  (service: ServiceName): Environment => ({
    NODE_ENV: "production",
    NODE_OPTIONS: SERVICE_NODE_OPTIONS,
    MAYFLY_ISSUER: BENCH_ISSUER,
    MAYFLY_DATABASE_URL: service === "broker" ? ledger.brokerUrl : ledger.workerUrl,
    MAYFLY_SEALING_KEY_FILE: keyFile,
    MAYFLY_LOG_LEVEL: "info",
    ...MANY,
    ...(world.redisUrl === null
      ? { MAYFLY_QUEUE: "postgres" }
      : { MAYFLY_QUEUE: "redis", MAYFLY_REDIS_URL: world.redisUrl }),
    ...(service === "broker" ? { MAYFLY_LISTEN: "127.0.0.1:0" } : {}),
    ...own,
  });

async function firstSweep(ledger: postgres.Sql): Promise<void> {
  await until("a first sweep", FIRST_SWEEP_MS_MAX, async () => {
    const found = await ledger`SELECT FROM mayfly.sweeps WHERE backend_id = ''`;
    return found.length > 0;
  });
}

async function register(
  api: BrokerApi,
  config: Record<string, unknown>,
  trust: TestTrustDomain,
  policies: string = POLICIES,
): Promise<void> {
  const put = async (path: string, body: unknown): Promise<void> =>
    accepted(await api.admin("PUT", path, body), path);
  await put(`/v1/trust/${TRUST_DOMAIN}`, {
    kind: "spiffe",
    config: { trust_domain: trust.trustDomain, bundle: trust.bundle() },
  });
  await put(`/v1/backends/${BACKEND}`, { type: "postgres", config });
  await put(`/v1/roles/${BENCH_ROLE}`, {
    description: "Reads orders",
    member_of: "app_reader",
    owner: "app_owner",
    ttl_max: "2h",
    data_class: "confidential",
    reversibility: "read_only",
    environment: "test",
  });
  await put("/v1/policies", { sources: [{ name: "bench.cedar", text: policies }] });
}
