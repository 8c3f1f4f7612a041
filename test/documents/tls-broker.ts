import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { freePort } from "@mayfly/embedded";
import { SOURCES, startService } from "../harness/service-process.ts";

export interface TlsBrokerOptions {
  /** Where `npm run dev` keeps its sealing key and the superuser's URL. */
  readonly data: string;
  /** For what the broker needs beside the page. */
  readonly own: string;
  readonly issuer: string;
  /** PEM, for 127.0.0.1. */
  readonly served: { readonly cert: string; readonly key: string };
  /** A file: the authorities that its bundle endpoints serve with. */
  readonly ca: string;
  /** A file: the clusters that it may ask of their tokens. */
  readonly clusters: string;
}

const LOGIN = "page_tls_broker";

export interface TlsBroker {
  readonly url: string;
  /** What any broker over that ledger is told. */
  readonly common: Readonly<Record<string, string>>;
}

/**
 * A second broker over the ledger of `npm run dev`, which serves HTTPS, asks for nonces, binds what
 * is opened with a certificate to it, and may ask a cluster.
 */
export async function startTlsBroker(
  { data, own, issuer, served, ca, clusters }: TlsBrokerOptions,
  started: AsyncDisposableStack,
): Promise<TlsBroker> {
  const [cert, key] = [join(own, "broker-cert.pem"), join(own, "broker-key.pem")];
  await writeFile(cert, served.cert);
  await writeFile(key, served.key, { mode: 0o600 });
  const listen = `127.0.0.1:${await freePort()}`;
  const common = {
    MAYFLY_ISSUER: issuer,
    MAYFLY_SEALING_KEY_FILE: join(data, "sealing-keys.json"),
    MAYFLY_QUEUE: "postgres",
    // As the broker and the worker of `npm run dev` have them.
    MAYFLY_UNSAFE_CLOCK_SKEW_SECONDS: "1",
    MAYFLY_UNSAFE_QUARANTINE_SECONDS: "2",
    MAYFLY_DATABASE_URL: await ledgerUrl(join(data, "postgres-url")),
    NODE_EXTRA_CA_CERTS: ca,
  };
  const environment = {
    ...common,
    MAYFLY_LISTEN: listen,
    MAYFLY_TLS_CERT_FILE: cert,
    MAYFLY_TLS_KEY_FILE: key,
    MAYFLY_DPOP_NONCES: "true",
    MAYFLY_CERTIFICATE_BOUND_TOKENS: "true",
    MAYFLY_KUBERNETES_CLUSTERS_FILE: clusters,
  };
  const broker = await startService("broker", environment, SOURCES);
  started.defer(() => broker.stop());
  return { url: `https://${listen}`, common };
}

/** The password of the first broker is known to nobody: this one has a login of its own. */
async function ledgerUrl(superuserUrlFile: string): Promise<string> {
  const url = new URL((await readFile(superuserUrlFile, "utf8")).trim());
  url.pathname = "/mayfly";
  const password = randomBytes(24).toString("hex");
  const server = postgres(url.href, { max: 1, onnotice: () => undefined });
  try {
    await server.unsafe(`CREATE ROLE ${LOGIN} LOGIN PASSWORD '${password}' IN ROLE mayfly_broker`);
  } finally {
    await server.end();
  }
  [url.username, url.password] = [LOGIN, password];
  return url.href;
}
