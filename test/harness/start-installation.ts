import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { createOrdersDatabase, type OrdersDatabase } from "@mayfly/dev";
import { systemClock, systemRandom } from "@mayfly/host";
import { storeBootstrapTokenSha256 } from "@mayfly/postgres";
import { createKeyFile } from "@mayfly/seal";
import { createTestTrustDomain, type TestTrustDomain } from "@mayfly/testkit";
import { createBrokerApi, type BrokerApi } from "./broker-api.ts";
import { watchCustomer, type CustomerWatch } from "./customer-watch.ts";
import {
  assertNothingLeaks,
  findLeaks,
  lookForLeaks,
  strayRoles,
  type Leak,
  type LeakSurroundings,
} from "./leaks.ts";
import {
  asSuperuser,
  createLedgerDatabase,
  rolePassword,
  type LedgerDatabase,
} from "./ledger-database.ts";
import { registerOrders, TRUST_DOMAIN } from "./registration.ts";
import { sharedServer, type ServerAddress } from "./server-address.ts";
import {
  startService,
  type Environment,
  type Programs,
  type ServiceName,
  type ServiceProcess,
} from "./service-process.ts";
import { strayTenants } from "./stray-tenants.ts";
import { testPrograms } from "./test-programs.ts";
import { until } from "./until.ts";

export interface InstallationOptions {
  /** Where the ledger is. Default: the PostgreSQL that the run shares. */
  readonly ledgerServer?: ServerAddress;
  /** Where the customer's `orders` are. Default: the same. */
  readonly customerServer?: ServerAddress;
  /** MAYFLY_ variables of every process; they replace the short times of the tests. */
  readonly settings?: Environment;
  /** Default: those that the run of the tests bundled. */
  readonly programs?: Programs;
  /** Where processes reach the two, for instance through a proxy. Default: at their own ports. */
  readonly ports?: { readonly ledger: number; readonly customer: number };
}

export interface RunningBroker extends ServiceProcess {
  readonly api: BrokerApi;
}

/** One Mayfly with one ledger, whose processes are real ones. */
export interface Installation extends AsyncDisposable {
  readonly id: string;
  readonly issuer: string;
  readonly adminToken: string;
  readonly sealingKeyFile: string;
  readonly trust: TestTrustDomain;
  readonly orders: OrdersDatabase;
  readonly ledgerDatabase: LedgerDatabase;
  /** The superuser's connections: they see everything, and Mayfly nothing of them. */
  readonly ledger: postgres.Sql;
  readonly customer: postgres.Sql;
  readonly watch: CustomerWatch;
  /** Every process that was ever started, also those that ended. */
  readonly processes: readonly ServiceProcess[];
  startBroker(settings?: Environment): Promise<RunningBroker>;
  startWorker(settings?: Environment): Promise<ServiceProcess>;
  /** Without waiting for its first sweep. */
  startWorkerAtOnce(settings?: Environment): Promise<ServiceProcess>;
  /** Registers trust, backend, roles and policies through the API, as a platform team does. */
  register(broker: RunningBroker): Promise<void>;
  /** A JWT-SVID of `spiffe://system.test/agent/<agent>`, good for five minutes. */
  svid(agent: string): string;
  /** What leaks now, in words. */
  findLeaks(broker: RunningBroker): Promise<readonly string[]>;
  lookForLeaks(broker: RunningBroker): Promise<readonly Leak[]>;
  /** The roles alone that should not be there; can be asked at any time. */
  strayRoles(): Promise<readonly Leak[]>;
  /** The same of a pool's slots, and the tenants that were struck by an end of another's. */
  strayTenants(): Promise<readonly Leak[]>;
  /** Throws with every leak, or because a process ended by a failure of its own. */
  assertNothingLeaks(broker: RunningBroker): Promise<void>;
}

/**
 * Short, so that what takes minutes in production takes seconds here. The broker's sweep interval
 * is longer than the worker's: it says when issuing pauses, and a loaded machine is late.
 */
const SHORT_TIMES: Environment = {
  MAYFLY_QUEUE: "postgres",
  MAYFLY_LOG_LEVEL: "info",
  MAYFLY_ISSUE_SECONDS: "2",
  MAYFLY_RETRY_BASE_SECONDS: "0.3",
  MAYFLY_CLAIM_SECONDS: "3",
  MAYFLY_UNSAFE_CLOCK_SKEW_SECONDS: "1",
  MAYFLY_UNSAFE_QUARANTINE_SECONDS: "1",
};
const INTERVALS: Readonly<Record<ServiceName, Environment>> = {
  worker: { MAYFLY_SWEEP_INTERVAL_SECONDS: "0.5", MAYFLY_LISTING_INTERVAL_SECONDS: "2" },
  broker: {
    MAYFLY_SWEEP_INTERVAL_SECONDS: "10",
    MAYFLY_LISTING_INTERVAL_SECONDS: "30",
    // As in production: a machine on which a dozen processes start is seconds late with a mint.
    MAYFLY_ISSUE_SECONDS: "10",
  },
};
/** Of a broker whose lost mints are waited for: they are looked for once this has passed. */
export const BRIEF_ISSUE: Environment = { MAYFLY_ISSUE_SECONDS: "4" };
const SWEEP_SECONDS = 0.5;
const FIRST_SWEEP_MS_MAX = 120_000;
const ADMIN_TOKEN_PREFIX = "mayfly_admin_";
/** Of every installation of tests. */
export const ISSUER = "https://mayfly.system.test";

/** Makes the ledger, the customer's database, keys and trust; starts no process yet. */
export async function startInstallation(options: InstallationOptions = {}): Promise<Installation> {
  const ledgerServer = options.ledgerServer ?? sharedServer();
  const customerServer = options.customerServer ?? ledgerServer;
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-system-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const sealingKeyFile = join(folder, "sealing-keys.json");
  await createKeyFile(sealingKeyFile, systemRandom);
  const ledgerDatabase = await createLedgerDatabase(ledgerServer);
  const adminToken = ADMIN_TOKEN_PREFIX + randomBytes(32).toString("base64url");
  const hash = createHash("sha256").update(adminToken).digest("hex");
  await storeBootstrapTokenSha256(ledgerDatabase.url, hash, "replace");
  const orders = await ordersOn(customerServer);
  const trust = createTestTrustDomain({
    clock: systemClock,
    audience: ISSUER,
    trustDomain: TRUST_DOMAIN,
  });
  const ledger = superuser(ledgerDatabase.url);
  started.defer(() => ledger.end({ timeout: 1 }));
  const customer = superuser(customerServer.url("orders"));
  started.defer(() => customer.end({ timeout: 1 }));
  const watch = watchCustomer(customer, ledgerDatabase.installation);
  started.defer(() => watch.stop());
  const processes: ServiceProcess[] = [];
  started.defer(async () => {
    await Promise.all(processes.map((one) => one.kill()));
  });
  const { ports } = options;
  const reached = {
    brokerUrl: atPort(ledgerDatabase.brokerUrl, ports?.ledger),
    workerUrl: atPort(ledgerDatabase.workerUrl, ports?.ledger),
  };
  const environment = environmentOf(reached, sealingKeyFile, options.settings ?? {});
  const programs = options.programs ?? testPrograms();
  const start = async (service: ServiceName, own: Environment): Promise<ServiceProcess> => {
    const one = await startService(service, environment(service, own), programs);
    processes.push(one);
    return one;
  };
  const { installation } = ledgerDatabase;
  const servers = { installation, customer, ledger, sweepSeconds: SWEEP_SECONDS };
  const around = ({ api }: RunningBroker): LeakSurroundings => ({ ...servers, watch, api });
  const all = started.move();
  return {
    id: ledgerDatabase.installation,
    issuer: ISSUER,
    adminToken,
    sealingKeyFile,
    trust,
    orders,
    ledgerDatabase,
    ledger,
    customer,
    watch,
    processes,
    startBroker: async (own = {}) => {
      const one = await start("broker", own);
      const { port } = JSON.parse(await one.line("broker listens")) as { readonly port: number };
      return { ...one, api: createBrokerApi(`http://127.0.0.1:${port}`, adminToken) };
    },
    startWorkerAtOnce: (own = {}) => start("worker", own),
    startWorker: async (own = {}) => {
      const one = await start("worker", own);
      // Until one has, nothing is issued.
      await until("a first sweep", FIRST_SWEEP_MS_MAX, async () => {
        const [row] = await ledger<{ age: number }[]>`
          SELECT extract(epoch FROM now() - finished_at)::float8 AS age
          FROM mayfly.sweeps WHERE backend_id = ''`;
        return row !== undefined && row.age < SWEEP_SECONDS;
      });
      return one;
    },
    register: ({ api }) =>
      registerOrders(api, { ...orders, port: ports?.customer ?? orders.port }, trust),
    svid: (agent) => trust.token({ claims: { sub: `spiffe://${TRUST_DOMAIN}/agent/${agent}` } }),
    findLeaks: (broker) => findLeaks(around(broker)),
    lookForLeaks: (broker) => lookForLeaks(around(broker)),
    strayRoles: () => strayRoles(servers),
    strayTenants: () => strayTenants(servers),
    assertNothingLeaks: async (broker) => {
      await assertNothingBroke(processes);
      await assertNothingLeaks(around(broker));
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** A process is killed or stopped by its test, or it lives: it never ends by its own failure. */
async function assertNothingBroke(processes: readonly ServiceProcess[]): Promise<void> {
  for (const one of processes.filter((process) => process.hasEnded())) {
    const { code } = await one.exited;
    if (code !== null && code !== 0) {
      throw new Error(`the ${one.service} ended by itself with code ${code}:\n${one.output()}`);
    }
  }
}

const environmentOf =
  (
    ledger: Pick<LedgerDatabase, "brokerUrl" | "workerUrl">,
    sealingKeyFile: string,
    all: Environment,
  ) =>
  (service: ServiceName, own: Environment): Environment => ({
    ...SHORT_TIMES,
    ...INTERVALS[service],
    MAYFLY_ISSUER: ISSUER,
    MAYFLY_DATABASE_URL: service === "broker" ? ledger.brokerUrl : ledger.workerUrl,
    MAYFLY_SEALING_KEY_FILE: sealingKeyFile,
    ...(service === "broker" ? { MAYFLY_LISTEN: "127.0.0.1:0" } : {}),
    ...all,
    ...own,
  });

function atPort(url: string, port: number | undefined): string {
  if (port === undefined) return url;
  const moved = new URL(url);
  moved.port = String(port);
  return moved.href;
}

const superuser = (url: string): postgres.Sql =>
  postgres(url, { max: 3, onnotice: () => undefined, connect_timeout: 30 });

/** One at a time on each server: roles are shared, and made anew they would collide. */
const ordersMade = new Map<string, Promise<OrdersDatabase>>();
function ordersOn(server: ServerAddress): Promise<OrdersDatabase> {
  const where = `${server.host}:${server.port}`;
  const made = ordersMade.get(where) ?? makeOrders(server);
  ordersMade.set(where, made);
  return made;
}

/** Of two files at once that share the server, one after the other. */
function makeOrders(server: ServerAddress): Promise<OrdersDatabase> {
  const superuserUrl = server.url("postgres");
  return asSuperuser(server, "postgres", async (sql) => {
    await sql`SELECT pg_advisory_lock(hashtext('orders'))`;
    try {
      const { host, port } = server;
      return await createOrdersDatabase(
        { host, port, superuserUrl },
        rolePassword(server, "mayfly"),
      );
    } finally {
      await sql`SELECT pg_advisory_unlock(hashtext('orders'))`;
    }
  });
}
