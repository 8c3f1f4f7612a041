import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { startBroker } from "@mayfly/broker";
import { QUEUE_SCHEMA } from "@mayfly/composition";
import { freePort, reachableDataDir, startPostgres, type EmbeddedPostgres } from "@mayfly/embedded";
import { systemRandom } from "@mayfly/host";
import { migrate } from "@mayfly/postgres";
import { migrateQueue, queueGrants } from "@mayfly/queue";
import { createKeyFile } from "@mayfly/seal";
import { readBrokerSettings, readWorkerSettings } from "@mayfly/settings";
import { Secret } from "@mayfly/spec";
import { startWorkerProcess } from "@mayfly/worker";
import { ensureAdminToken } from "./admin-token.ts";
import { openLog } from "./open-log.ts";
import { createOrdersDatabase, type OrdersDatabase } from "./orders-database.ts";
import { startUnsafeDemoIssuer, type UnsafeDemoIssuer } from "./unsafe-demo-issuer.ts";
import {
  createUnsafeDemoTrustDomain,
  type UnsafeDemoTrustDomain,
} from "./unsafe-demo-trust-domain.ts";

export interface EmbeddedOptions {
  /** Holds PostgreSQL's data, the sealing key and the log. */
  readonly folder: string;
  /** Null: free ones. */
  readonly ports: {
    readonly broker: number;
    readonly postgres: number;
    readonly issuer: number;
  } | null;
  /** Whether the data are there for the next start. */
  readonly persistent: boolean;
}

/** Broker and worker in this process, over a real PostgreSQL. */
export interface Embedded {
  readonly brokerUrl: string;
  readonly issuerUrl: string;
  /** The bootstrap administrator's. */
  readonly adminToken: string;
  readonly orders: OrdersDatabase;
  /** For asking the customer's server itself; holds a password. */
  readonly ordersSuperuserUrl: string;
  /** What to register so that the demo's workloads are trusted. */
  readonly trust: readonly {
    readonly name: string;
    readonly kind: "spiffe" | "oidc";
    readonly config: unknown;
  }[];
  svid(agent: string): Promise<string>;
  oidcToken(subject: string): Promise<string>;
  close(): Promise<void>;
}

const LEDGER_DATABASE = "mayfly";
const password = (): string => randomBytes(24).toString("base64url");

/** Starts everything; what was started is stopped again when a later part fails. */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { folder, ports } = options;
  await mkdir(folder, { recursive: true });
  await using started = new AsyncDisposableStack();
  const server = await startPostgres({
    // Without a directory it has a temporary one, which is gone with it.
    ...(options.persistent ? { dataDir: await reachableDataDir(join(folder, "postgres")) } : {}),
    ...(ports === null ? {} : { port: ports.postgres }),
  });
  started.defer(() => server.stop());
  const roles = { broker: password(), worker: password() };
  await prepareLedger(server, roles);
  const keyFile = join(folder, "sealing-keys.json");
  await createKeyFile(keyFile, systemRandom);
  const superuserUrl = server.url("postgres");
  const [orders, adminToken, trustDomain, issuer] = await Promise.all([
    createOrdersDatabase({ host: server.host, port: server.port, superuserUrl }, password()),
    ensureAdminToken(server.url(LEDGER_DATABASE), join(folder, "admin-token")),
    createUnsafeDemoTrustDomain("demo.test"),
    startUnsafeDemoIssuer(ports?.issuer ?? 0),
  ]);
  started.defer(() => issuer.close());
  const brokerUrl = `http://127.0.0.1:${ports?.broker ?? (await freePort())}`;
  const log = await openLog(join(folder, "mayfly.log"));
  started.defer(() => log.close());
  const shared = environment(brokerUrl, keyFile);
  const worker = await startWorkerProcess(
    readWorkerSettings(
      {
        ...shared,
        MAYFLY_DATABASE_URL: server.url(LEDGER_DATABASE, "mayfly_worker", roles.worker),
      },
      noFile,
    ),
    log,
  );
  started.defer(() => worker.close());
  const broker = await startBroker(
    readBrokerSettings(
      {
        ...shared,
        MAYFLY_LISTEN: brokerUrl.slice("http://".length),
        MAYFLY_DATABASE_URL: server.url(LEDGER_DATABASE, "mayfly_broker", roles.broker),
      },
      noFile,
    ),
    log,
  );
  started.defer(async () => {
    await broker.close();
  });
  const all = started.move();
  return {
    brokerUrl: broker.url,
    issuerUrl: issuer.url,
    adminToken,
    orders,
    ordersSuperuserUrl: server.url("orders"),
    trust: demoTrust(trustDomain, issuer),
    svid: (agent) => trustDomain.svid(agent, brokerUrl),
    oidcToken: (subject) => issuer.token(subject, brokerUrl),
    close: () => all.disposeAsync(),
  };
}

/** Short times, so that a person can watch what takes minutes in production. */
const environment = (issuer: string, keyFile: string): Record<string, string> => ({
  MAYFLY_ISSUER: issuer,
  MAYFLY_SEALING_KEY_FILE: keyFile,
  MAYFLY_QUEUE: "postgres",
  MAYFLY_LOG_LEVEL: "info",
  MAYFLY_SWEEP_INTERVAL_SECONDS: "1",
  MAYFLY_LISTING_INTERVAL_SECONDS: "5",
  MAYFLY_UNSAFE_CLOCK_SKEW_SECONDS: "1",
  MAYFLY_UNSAFE_QUARANTINE_SECONDS: "2",
});

const noFile = (): string => {
  throw new Error("the embedded mode reads no secret from a file");
};

async function prepareLedger(
  server: EmbeddedPostgres,
  roles: { readonly broker: string; readonly worker: string },
): Promise<void> {
  const admin = postgres(server.url("postgres"), { max: 1, onnotice: () => undefined });
  try {
    const known = await admin`SELECT 1 FROM pg_database WHERE datname = ${LEDGER_DATABASE}`;
    if (known.length === 0) await admin.unsafe(`CREATE DATABASE ${LEDGER_DATABASE}`);
  } finally {
    await admin.end();
  }
  const url = server.url(LEDGER_DATABASE);
  await migrate({
    url,
    random: systemRandom,
    passwords: { mayfly_broker: Secret.of(roles.broker), mayfly_worker: Secret.of(roles.worker) },
  });
  await migrateQueue({ connection: Secret.of(url), schema: QUEUE_SCHEMA });
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    for (const role of ["mayfly_broker", "mayfly_worker"]) {
      await sql.unsafe(queueGrants(role, QUEUE_SCHEMA)).simple();
    }
  } finally {
    await sql.end();
  }
}

const demoTrust = (
  trustDomain: UnsafeDemoTrustDomain,
  issuer: UnsafeDemoIssuer,
): Embedded["trust"] => [
  {
    name: "demo.test",
    kind: "spiffe",
    config: { trust_domain: trustDomain.name, bundle: trustDomain.bundle },
  },
  {
    name: "demo-issuer",
    kind: "oidc",
    config: { issuer: issuer.url, unsafe_allow_private_addresses: true },
  },
];
