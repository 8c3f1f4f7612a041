import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, startGuarded, type GuardedProcess } from "@mayfly/embedded";
import { until } from "../harness/index.ts";

const run = promisify(execFile);
const START_MS_MAX = 60_000;
/** An entry reaches the agent with its next look at the server. */
const ENTRY_MS_MAX = 60_000;

/** An X509-SVID as the agent writes it, for a TLS client. */
export interface WrittenSvid {
  readonly cert: string;
  readonly key: string;
  /** PEM. */
  readonly bundle: string;
}

export interface PreparedAuthority {
  /** It signs from now on, and the one of before is tainted. */
  activate(): Promise<void>;
  /** The one of before is nobody's any more. */
  revoke(): Promise<void>;
}

/** The agent's process; what it has on disk stays, as on a machine that restarts it. */
export interface SpireAgent {
  kill(): Promise<void>;
  /** Once it is dead; resolves when it is healthy. */
  start(): Promise<void>;
}

/** A SPIRE server and one agent of it, real ones, on this machine. */
export interface SpireDomain extends AsyncDisposable {
  readonly trustDomain: string;
  /** The agent's Workload API. */
  readonly socket: string;
  /** What each command takes as its `-socketPath`. */
  readonly sockets: Readonly<Record<"spire-server" | "spire-agent", string>>;
  readonly endpoint: { readonly url: string; readonly spiffeId: string };
  readonly agent: SpireAgent;
  /** `spire-server`, with the server's socket; what it prints. */
  server(...args: readonly string[]): Promise<string>;
  /** The trust domain's bundle as SPIFFE writes it. */
  bundle(): Promise<Record<string, unknown>>;
  /** Has the agent fetch the other domain's bundle, and follow it. */
  federate(other: SpireDomain): Promise<void>;
  /** What the server knows of the other domain is this from now on, and nothing replaces it. */
  setBundleOf(other: SpireDomain, bundle: Readonly<Record<string, unknown>>): Promise<void>;
  /** The other domain is federated no more, and nobody's entry names it. */
  dissociate(other: SpireDomain): Promise<void>;
  /** Registers whoever runs as this user, and waits until the agent knows. */
  register(path: string, federatesWith?: SpireDomain): Promise<string>;
  /** SVIDs of what is registered live so long from the next one on. */
  lengthen(path: string, seconds: number): Promise<void>;
  /** Publishes another authority, which signs nothing yet. */
  prepareAuthority(kind: "x509" | "jwt"): Promise<PreparedAuthority>;
  /** How many authorities of X.509 the server knows of another domain. */
  authoritiesOf(other: SpireDomain): Promise<number>;
  x509(): Promise<WrittenSvid>;
  jwt(audience: string): Promise<string>;
  /** A JWT-SVID by the server itself, which asks no agent. */
  mintJwt(path: string, audience: string): Promise<string>;
}

/** SVIDs live for a minute, so that the agent has new ones twice in it. */
export async function startSpireDomain(trustDomain: string): Promise<SpireDomain> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-spire-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  for (const name of ["server", "agent", "svid"]) await mkdir(join(folder, name));
  const [port, endpointPort] = [await freePort(), await freePort()];
  const paths = {
    serverSocket: join(folder, "server.sock"),
    agentSocket: join(folder, "agent.sock"),
    bundle: join(folder, "bundle.pem"),
  };
  const conf = { trustDomain, folder, port, endpointPort, ...paths };
  await writeFile(join(folder, "server.conf"), serverConf(conf));
  await writeFile(join(folder, "agent.conf"), agentConf(conf));

  const server: SpireDomain["server"] = async (...args) => {
    const { stdout } = await run("spire-server", [...args, "-socketPath", paths.serverSocket]);
    return stdout;
  };
  const agent = async (...args: readonly string[]): Promise<string> =>
    (await run("spire-agent", [...args, "-socketPath", paths.agentSocket])).stdout;

  const serverRun = ["spire-server", "run", "-config", join(folder, "server.conf")];
  const serverProcess = await startHealthy(serverRun, () => server("healthcheck"));
  started.defer(() => end(serverProcess, "SIGTERM"));
  await writeFile(paths.bundle, await server("bundle", "show"));
  const node = `spiffe://${trustDomain}/node`;
  const token = /[0-9a-f-]{36}/.exec(await server("token", "generate", "-spiffeID", node))?.[0];
  const agentRun = ["spire-agent", "run", "-config", join(folder, "agent.conf")];
  const agentProcess = await startAgent(started, agentRun, ["-joinToken", token ?? ""], () =>
    agent("healthcheck"),
  );
  const all = started.move();
  const entries = new Map<string, Readonly<Record<string, string>>>();
  const bundle = async (): Promise<Record<string, unknown>> =>
    JSON.parse(await server("bundle", "show", "-format", "spiffe")) as Record<string, unknown>;
  return {
    trustDomain,
    socket: `unix://${paths.agentSocket}`,
    sockets: { "spire-server": paths.serverSocket, "spire-agent": paths.agentSocket },
    endpoint: {
      url: `https://127.0.0.1:${endpointPort}`,
      spiffeId: `spiffe://${trustDomain}/spire/server`,
    },
    agent: agentProcess,
    server,
    bundle,
    federate: async (other) => {
      const file = join(folder, `${other.trustDomain}.json`);
      await writeFile(file, JSON.stringify(await other.bundle()));
      const relationship = {
        trustDomain: other.trustDomain,
        bundleEndpointURL: other.endpoint.url,
        bundleEndpointProfile: "https_spiffe",
        endpointSpiffeID: other.endpoint.spiffeId,
        trustDomainBundlePath: file,
        trustDomainBundleFormat: "spiffe",
      };
      await server("federation", "create", ...flagsOf(relationship));
    },
    setBundleOf: async (other, next) => {
      const id = `spiffe://${other.trustDomain}`;
      const shown = await server("federation", "list", "-output", "json");
      if (shown.includes(id)) await server("federation", "delete", "-id", id);
      const path = join(folder, `${other.trustDomain}.json`);
      await writeFile(path, JSON.stringify(next));
      await server("bundle", "set", ...flagsOf({ id, format: "spiffe", path }));
    },
    dissociate: async (other) => {
      const id = `spiffe://${other.trustDomain}`;
      await server("bundle", "delete", ...flagsOf({ id, mode: "dissociate" }));
    },
    mintJwt: async (path, audience) => {
      const spiffeID = `spiffe://${trustDomain}${path}`;
      return (await server("jwt", "mint", ...flagsOf({ spiffeID, audience }))).trim();
    },
    register: async (path, federatesWith) => {
      const id = `spiffe://${trustDomain}${path}`;
      const entry = {
        spiffeID: id,
        parentID: node,
        selector: `unix:uid:${process.getuid?.() ?? 0}`,
        ...(federatesWith === undefined
          ? {}
          : { federatesWith: `spiffe://${federatesWith.trustDomain}` }),
      };
      entries.set(path, entry);
      await server("entry", "create", ...flagsOf(entry));
      await until(`the agent to know ${id}`, ENTRY_MS_MAX, async () =>
        agent("api", "fetch", "x509", "-silent").then(
          () => true,
          () => false,
        ),
      );
      return id;
    },
    lengthen: async (path, seconds) => {
      const entry = entries.get(path) ?? {};
      const shown = await server("entry", "show", "-output", "json");
      const found = JSON.parse(shown) as {
        readonly entries: readonly {
          readonly id: string;
          readonly spiffe_id: { readonly path: string };
        }[];
      };
      const entryID = found.entries.find(({ spiffe_id: id }) => id.path === path)?.id ?? "";
      const lives = { x509SVIDTTL: String(seconds), jwtSVIDTTL: String(seconds) };
      await server("entry", "update", ...flagsOf({ entryID, ...entry, ...lives }));
    },
    authoritiesOf: async (other) => {
      const id = `spiffe://${other.trustDomain}`;
      const shown = await server("bundle", "list", "-id", id, "-format", "spiffe");
      const { keys } = JSON.parse(shown) as { readonly keys: readonly { readonly use: string }[] };
      return keys.filter(({ use }) => use === "x509-svid").length;
    },
    prepareAuthority: async (kind) => {
      const authority = (what: string, authorityID: string): Promise<string> =>
        server("localauthority", kind, what, "-authorityID", authorityID);
      const idOf = async (which: string): Promise<string> => {
        const shown = await server("localauthority", kind, "show", "-output", "json");
        const states = JSON.parse(shown) as Record<string, { readonly authority_id?: string }>;
        return states[which]?.authority_id ?? "";
      };
      const agentsSerial = async (): Promise<string> => {
        const shown = await server("agent", "list", "-output", "json");
        const { agents } = JSON.parse(shown) as {
          readonly agents: readonly { readonly x509svid_serial_number: string }[];
        };
        return agents[0]?.x509svid_serial_number ?? "";
      };
      const before = await idOf("active");
      const serial = await agentsSerial();
      await server("localauthority", kind, "prepare");
      return {
        activate: async () => {
          await authority("activate", await idOf("prepared"));
          await authority("taint", before);
        },
        revoke: async () => {
          // The agent is a workload too: with an SVID of the old one it would be out for good.
          await until("the agent to have another SVID itself", ENTRY_MS_MAX, async () => {
            return kind === "jwt" || (await agentsSerial()) !== serial;
          });
          await authority("revoke", before);
        },
      };
    },
    x509: async () => {
      const svid = join(folder, "svid");
      await agent("api", "fetch", "x509", "-silent", "-write", svid);
      const text = (name: string): Promise<string> => readFile(join(svid, name), "utf8");
      const [cert, key, pem] = await Promise.all(
        ["svid.0.pem", "svid.0.key", "bundle.0.pem"].map(text),
      );
      return { cert: cert ?? "", key: key ?? "", bundle: pem ?? "" };
    },
    jwt: async (audience) => {
      const printed = await agent("api", "fetch", "jwt", "-audience", audience);
      return /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(printed)?.[0] ?? "";
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const flagsOf = (flags: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(flags).flatMap(([name, value]) => [`-${name}`, value]);

async function startHealthy(
  [program = "", ...args]: readonly string[],
  look: () => Promise<string>,
): Promise<GuardedProcess> {
  const one = await startGuarded({
    command: program,
    args,
    parentDeathSignal: "KILL",
    user: undefined,
    env: undefined,
    input: undefined,
    log: () => undefined,
  });
  try {
    await until(`${program} to be healthy`, START_MS_MAX, async () => {
      if (one.hasEnded()) throw new Error(`${program}: ${(await one.lastWords()).join("\n")}`);
      return look().then(
        () => true,
        () => false,
      );
    });
  } catch (error) {
    await end(one, "SIGKILL");
    throw error;
  }
  return one;
}

async function end(one: GuardedProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  one.signal(signal);
  await one.exited;
}

/** What `first` says counts at the first start alone: a join token does not count twice. */
async function startAgent(
  started: AsyncDisposableStack,
  command: readonly string[],
  first: readonly string[],
  look: () => Promise<string>,
): Promise<SpireAgent> {
  let process = await startHealthy([...command, ...first], look);
  started.defer(() => end(process, "SIGTERM"));
  return {
    kill: () => end(process, "SIGKILL"),
    start: async () => {
      process = await startHealthy(command, look);
    },
  };
}

interface Conf {
  readonly trustDomain: string;
  readonly folder: string;
  readonly port: number;
  readonly endpointPort: number;
  readonly serverSocket: string;
  readonly agentSocket: string;
  readonly bundle: string;
}

const serverConf = ({ trustDomain, folder, port, endpointPort, serverSocket }: Conf): string => `
server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${serverSocket}"
  trust_domain = "${trustDomain}"
  data_dir = "${folder}/server"
  log_level = "WARN"
  ca_ttl = "24h"
  default_x509_svid_ttl = "1m"
  default_jwt_svid_ttl = "1m"
  federation {
    bundle_endpoint {
      address = "127.0.0.1"
      port = ${endpointPort}
      refresh_hint = "10s"
      profile "https_spiffe" {}
    }
  }
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type = "sqlite3"
      connection_string = "${folder}/server/data.sqlite3"
    }
  }
  NodeAttestor "join_token" {
    plugin_data {}
  }
  KeyManager "memory" {
    plugin_data {}
  }
}
`;

const agentConf = ({ trustDomain, folder, port, agentSocket, bundle }: Conf): string => `
agent {
  data_dir = "${folder}/agent"
  log_level = "WARN"
  server_address = "127.0.0.1"
  server_port = "${port}"
  socket_path = "${agentSocket}"
  trust_bundle_path = "${bundle}"
  trust_domain = "${trustDomain}"
}
plugins {
  NodeAttestor "join_token" {
    plugin_data {}
  }
  KeyManager "disk" {
    plugin_data {
      directory = "${folder}/agent"
    }
  }
  WorkloadAttestor "unix" {
    plugin_data {}
  }
}
`;
