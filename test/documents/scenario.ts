import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import postgres from "postgres";
import { freePort, motoPython, startGuarded } from "@mayfly/embedded";
import { isInstalled } from "@mayfly/testkit/vitest";
import { holdDevPorts, until, writeMayflyCommand } from "../harness/index.ts";
import { startSpireDomain } from "../identity/spire-domain.ts";
import { ROOT } from "../tidy/repository.ts";
import { prepareAgentBroker } from "./agent-broker.ts";
import { startClusterStandIn } from "./cluster-stand-in.ts";
import { startTlsBroker } from "./tls-broker.ts";
import { startVendorStandIns, type VendorStandIns } from "./vendor-stand-ins.ts";

/** Where a page's commands are typed. */
export interface Scenario extends AsyncDisposable {
  /** The reader's checkout: what is ours is in it by a link, what the page writes is its own. */
  readonly folder: string;
  /** For what the test itself needs beside the page. */
  readonly own: string;
  readonly env: NodeJS.ProcessEnv;
}

export const SCENARIOS = ["dev", "checkout", "identities"] as const;
export type ScenarioName = (typeof SCENARIOS)[number];
export const isScenario = (name: string): name is ScenarioName =>
  SCENARIOS.some((known) => known === name);

const START_MS_MAX = 180_000;
const END_MS_MAX = 90_000;
/** Not the reader's, and never linked: a page's commands must not reach what is built or kept. */
const NOT_LINKED = new Set([".git", ".mayfly", ".turbo"]);

/**
 * `checkout`: a checkout on a machine where the README's line for the PATH was typed.
 * `dev`: there, `npm run dev -- --demo-workloads` runs as well, and the person has a database
 * `shop` in its PostgreSQL, whose superuser `psql` logs in as.
 * `identities`: `dev`, with something at hand that stands in for each vendor of identities,
 * SPIRE, a real one, where it is installed, and a second broker that serves HTTPS. All of it is on
 * this machine, so that `mayfly trust` is told there that addresses may be private.
 */
export async function startScenario(name: ScenarioName): Promise<Scenario> {
  await using started = new AsyncDisposableStack();
  const own = await mkdtemp(join(tmpdir(), "mayfly-page-"));
  started.defer(() => rm(own, { recursive: true, force: true }));
  const folder = join(own, "mayfly");
  await linkCheckout(folder);
  const programs = join(own, "bin");
  await mkdir(programs);
  await writeMayflyCommand(programs);
  await writeMotoCommands(programs);
  await writeBaoCommand(programs);
  const env = {
    ...readersEnvironment(programs),
  };
  const vendors = name === "identities" ? started.use(await startVendorStandIns(BROKER)) : null;
  const identities = vendors === null ? null : await startIdentities(own, env, vendors, started);
  Object.assign(env, identities?.env);
  if (name !== "checkout") {
    started.use(await holdDevPorts());
    Object.assign(env, await startDev(folder, env, started));
  }
  if (vendors !== null && identities !== null) {
    const [data, ca] = [join(folder, ".mayfly/dev"), caFile(own)];
    const { clusters } = identities;
    const options = { data, own, issuer: BROKER, served: vendors.served, ca, clusters };
    const { url, common } = await startTlsBroker(options, started);
    Object.assign(env, { BROKER_TLS_URL: url }, await agentBroker(own, common, identities));
  }
  const all = started.move();
  return { folder, own, env, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

async function linkCheckout(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o755 });
  for (const entry of await readdir(ROOT)) {
    if (!NOT_LINKED.has(entry)) await symlink(join(ROOT, entry), join(folder, entry));
  }
}

/** Nothing of the machine's own configuration, and nothing of the test run's. */
const readersEnvironment = (programs: string): NodeJS.ProcessEnv => ({
  PATH: [programs, process.env["PATH"] ?? ""].join(delimiter),
  HOME: process.env["HOME"],
  LANG: "C.UTF-8",
  TERM: "dumb",
});

async function startDev(
  folder: string,
  { NODE_EXTRA_CA_CERTS: ca }: NodeJS.ProcessEnv,
  started: AsyncDisposableStack,
): Promise<Record<string, string>> {
  const data = join(folder, ".mayfly/dev");
  await mkdir(data, { recursive: true });
  const lines: string[] = [];
  const dev = await startGuarded({
    command: process.execPath,
    args: [join(ROOT, "services/embedded/src/dev.ts"), "--demo-workloads", "--folder", data],
    parentDeathSignal: "TERM",
    user: undefined,
    env: {
      PATH: process.env["PATH"] ?? "",
      NODE_NO_WARNINGS: "1",
      ...(ca === undefined ? {} : { NODE_EXTRA_CA_CERTS: ca }),
    },
    input: undefined,
    log: (line) => lines.push(line),
  });
  started.defer(async () => {
    dev.signal("SIGTERM");
    await until("the end of npm run dev", END_MS_MAX, async () => dev.hasEnded());
  });
  await until("npm run dev to be up", START_MS_MAX, async () => {
    if (dev.hasEnded()) throw new Error(`npm run dev ended:\n${lines.join("\n")}`);
    return lines.some((line) => line.includes("Ctrl-C stops everything."));
  });
  const url = new URL((await readFile(join(data, "postgres-url"), "utf8")).trim());
  await createShop(url.href);
  return {
    MAYFLY_URL: BROKER,
    MAYFLY_ADMIN_TOKEN_FILE: join(data, "admin-token"),
    WORKLOADS: join(data, "workloads"),
    PGHOST: url.hostname,
    PGPORT: url.port,
    PGUSER: decodeURIComponent(url.username),
    PGPASSWORD: decodeURIComponent(url.password),
    PGDATABASE: "shop",
  };
}

const BROKER = "http://127.0.0.1:8420";
const caFile = (own: string): string => join(own, "vendors-ca.pem");

interface Identities {
  readonly env: Readonly<Record<string, string>>;
  /** A file: the clusters that may be asked. */
  readonly clusters: string;
  /** SPIRE's Workload API, where it is installed. */
  readonly agentSocket: string | null;
}

/** What stands in for the machine's own programs, before all others in the PATH. */
const labOf = (own: string): string => join(own, "lab");

async function startIdentities(
  own: string,
  env: NodeJS.ProcessEnv,
  vendors: VendorStandIns,
  started: AsyncDisposableStack,
): Promise<Identities> {
  const [podToken, ca] = [join(own, "pod-token"), caFile(own)];
  await writeFile(podToken, vendors.podToken);
  await writeFile(ca, vendors.ca);
  // As where `npm install jose` was typed above the reader's folder.
  await mkdir(join(own, "node_modules"));
  await symlink(join(ROOT, "test/node_modules/jose"), join(own, "node_modules/jose"));
  const programs = labOf(own);
  await mkdir(programs);
  const [command, put] = [join(own, "bin/mayfly"), join(own, "put.yaml")];
  await writeProgram(
    programs,
    "mayfly",
    `case "\${1:-} \${2:-}" in
  "trust add") exec '${command}' "$@" --unsafe-allow-private-addresses ;;
  "trust put")
    case "$3" in
      ${putKeys(vendors.keys)}
      *) keys= ;;
    esac
    case "$(head -c 1 "$3")" in
      "{") jq 'if .kind == "x509" then . else .config.unsafe_allow_private_addresses = true end' "$3" > '${put}' ;;
      *) { cat "$3"; echo "$keys"; echo '  unsafe_allow_private_addresses: true'; } > '${put}' ;;
    esac
    exec '${command}' trust put '${put}' ;;
  *) exec '${command}' "$@" ;;
esac`,
  );
  const { podToken: token, clusterIssuer: issuer } = vendors;
  const options = { own, audience: BROKER, podToken: token, issuer };
  const { clustersFile, kubectl } = await startClusterStandIn(options, started);
  await writeProgram(programs, "kubectl", kubectl);
  let agentSocket: string | null = null;
  if (await isInstalled("spire")) {
    const { sockets } = started.use(await startSpireDomain("acme.test"));
    agentSocket = sockets["spire-agent"];
    for (const [program, socket] of Object.entries(sockets)) {
      // As where both have their sockets in the usual places.
      const script = `PATH='${env["PATH"]}' exec ${program} "$@" -socketPath '${socket}'`;
      await writeProgram(programs, program, script);
    }
  }
  const path = [programs, env["PATH"] ?? ""].join(delimiter);
  const trusted = { NODE_EXTRA_CA_CERTS: ca, CURL_CA_BUNDLE: ca, AWS_CA_BUNDLE: ca };
  const places = {
    ...(await bundleEndpoint(own, vendors)),
    TOKEN_FILE: podToken,
    REPORTS_URL: `http://127.0.0.1:${await freePort()}`,
  };
  return {
    env: { ...vendors.env, ...trusted, ...places, PATH: path },
    clusters: clustersFile,
    agentSocket,
  };
}

/** The broker that the page restarts with an identity of SPIRE's. */
async function agentBroker(
  own: string,
  common: Readonly<Record<string, string>>,
  { agentSocket }: Identities,
): Promise<Readonly<Record<string, string>>> {
  if (agentSocket === null) return {};
  const { restart, env } = await prepareAgentBroker({ own, common, agentSocket });
  await writeProgram(labOf(own), "restart-broker", restart);
  return { ...env, RESTART_BROKER: "restart-broker" };
}

/** Of an issuer that has one address in the world, the keys are here: a file says so besides. */
const putKeys = (keys: VendorStandIns["keys"]): string =>
  Object.entries(keys)
    .map(([name, url]) => `trust/${name}.yaml) keys='  jwks_uri: ${url}' ;;`)
    .join("\n      ");

/** Where the page's own bundle endpoint is to be, and what it serves with. */
async function bundleEndpoint(
  own: string,
  { served }: VendorStandIns,
): Promise<Record<string, string>> {
  const [cert, key] = [join(own, "web.pem"), join(own, "web.key")];
  await writeFile(cert, served.cert);
  await writeFile(key, served.key, { mode: 0o600 });
  const port = String(await freePort());
  const url = `https://127.0.0.1:${port}/bundle.json`;
  return { BUNDLE_URL: url, BUNDLE_PORT: port, WEB_CERT: cert, WEB_KEY: key };
}

/** As `pip install 'moto[server]' awscli` leaves them; nothing where there is no moto. */
async function writeMotoCommands(programs: string): Promise<void> {
  const python = await motoPython(process.env["PATH"]);
  if (python === undefined) return;
  await writeProgram(programs, "moto_server", `exec '${python}' -m moto.server "$@"`);
  await writeProgram(programs, "aws", `exec '${python}' -m awscli "$@"`);
}

/** Where OpenBao is not installed: a fake of its API, as the page of the type says. */
async function writeBaoCommand(programs: string): Promise<void> {
  if (await isInstalled("openbao")) return;
  const fake = join(ROOT, "test/documents/serve-fake-vault.ts");
  await writeProgram(programs, "bao", `exec '${process.execPath}' '${fake}' "$@"`);
}

const writeProgram = (folder: string, name: string, script: string): Promise<void> =>
  writeFile(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });

async function createShop(superuserUrl: string): Promise<void> {
  const server = postgres(superuserUrl, { max: 1, onnotice: () => undefined });
  try {
    await server`CREATE DATABASE shop`;
  } finally {
    await server.end();
  }
  const url = new URL(superuserUrl);
  url.pathname = "/shop";
  const shop = postgres(url.href, { max: 1, onnotice: () => undefined });
  try {
    await shop`CREATE TABLE article AS SELECT n AS id, 'article ' || n AS name
               FROM generate_series(1, 100) AS n`;
  } finally {
    await shop.end();
  }
}
