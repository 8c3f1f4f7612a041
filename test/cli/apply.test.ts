import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  accepted,
  startInstallation,
  until,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";
import { runMayfly, writeFiles, type Ran } from "./run-mayfly.ts";

let installation: Installation;
let broker: RunningBroker;
let folder: string;
let files: Record<string, string>;

beforeAll(async () => {
  installation = await startInstallation();
  await installation.startWorker();
  broker = await installation.startBroker();
  folder = await mkdtemp(join(tmpdir(), "mayfly-apply-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await installation[Symbol.asyncDispose]();
});

const role = (shape: string, group: string, more = ""): string => `role: orders-db/${shape}
member_of: ${group}
owner: app_owner
ttl_max: 30m
data_class: confidential
reversibility: read_only
environment: test
${more}`;
const POLICY = `@id("agents-read")
permit (principal, action in Action::"credential", resource == Role::"orders-db/reader");
`;
const TESTS = `- name: an agent reads
  workload: spiffe://system.test/agent/any
  issue: orders-db/reader
  expect: permit
- name: nobody writes
  workload: spiffe://system.test/agent/any
  issue: orders-db/writer
  expect: deny
`;

beforeEach(async () => {
  await rm(folder, { recursive: true, force: true });
  const { orders, trust } = installation;
  files = {
    "trust/system.yaml": `trust: system.test
kind: spiffe
config:
  trust_domain: system.test
  bundle: ${JSON.stringify(trust.bundle())}
`,
    "backends/orders.yaml": `backend: orders-db
type: postgres
config:
  host: ${orders.host}
  port: ${orders.port}
  database: ${orders.database}
  username: ${orders.username}
  password: { from: env:ORDERS_PASSWORD }
  tls: unsafe_disable
`,
    "roles/orders.yaml": `${role("reader", "app_reader")}---\n${role("writer", "app_writer")}`,
    "policies/sub/orders.cedar": POLICY,
    "policies/orders.test.yaml": TESTS,
    "policies/README.md": "not read",
  };
  await writeFiles(folder, files);
});

const apply = (...more: readonly string[]): Promise<Ran> => mayfly("apply", "-f", folder, ...more);
const environment = (): Readonly<Record<string, string>> => ({
  MAYFLY_URL: broker.api.url,
  MAYFLY_ADMIN_TOKEN: installation.adminToken,
  ORDERS_PASSWORD: installation.orders.password,
});
const mayfly = (...argv: readonly string[]): Promise<Ran> =>
  runMayfly(argv, { environment: environment() });
const change = (name: string, from: string, to: string): Promise<void> =>
  writeFiles(folder, { [name]: (files[name] ?? "").replace(from, to) });

describe("mayfly apply, on a real installation", () => {
  test("a dry run shows all that would be made and makes nothing; the run does exactly that", async () => {
    const dry = await apply("--dry-run");
    expect(dry.code, dry.err).toBe(0);
    for (const line of [
      "+ trust   system.test",
      "+ backend orders-db",
      "+ role    orders-db/reader",
    ]) {
      expect(dry.out).toContain(line);
    }
    expect(dry.out).toContain("+ policy  sub/orders.cedar");
    expect(dry.out).toMatch(/config\.password +from env:ORDERS_PASSWORD/);
    expect(dry.out + dry.err).not.toContain(installation.orders.password);
    expect(dry.out).toMatch(/5 to create\n$/);
    expect((await mayfly("backend", "list", "-q")).out).toBe("");
    expect((await apply("--dry-run", "--exit-code")).code).toBe(1);

    const done = await apply();
    expect(done.code, done.err).toBe(0);
    const order = ["trust system", "backend orders-db", "role orders-db/reader", "policies"];
    const places = order.map((text) => done.err.indexOf(text));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(Math.min(...places)).toBeGreaterThan(-1);
    expect(done.out).toMatch(/5 created\n$/);
  });

  test("a second run changes nothing, and says so", async () => {
    const before = await installation.ledger`SELECT count(*) AS n FROM mayfly.events`;
    const again = await apply();
    expect(again).toMatchObject({ code: 0, out: "0 changes, 5 unchanged\n" });
    expect((await apply("--dry-run", "--exit-code")).code).toBe(0);
    expect(await installation.ledger`SELECT count(*) AS n FROM mayfly.events`).toEqual(before);
  });

  test("what changes is shown as old and new; a secret only as differing", async () => {
    await change("roles/orders.yaml", "ttl_max: 30m", "ttl_max: 20m");
    await change("policies/sub/orders.cedar", "principal,", "principal is Workload,");
    const dry = await apply("--dry-run");
    expect(dry.out).toMatch(/^~ role {4}orders-db\/reader\n {4}ttl_max_seconds +1800 → 1200$/m);
    expect(dry.out).toMatch(/^ {4}-permit \(principal, /m);
    expect(dry.out).toMatch(/^ {4}\+permit \(principal is Workload, /m);
    const json = JSON.parse((await apply("--dry-run", "--json")).out) as {
      readonly summary: unknown;
    };
    expect(json.summary).toEqual({
      create: 0,
      update: 2,
      delete: 0,
      unchanged: 3,
      keep: 0,
      refused: 0,
    });
    const wrong = await runMayfly(["apply", "-f", folder, "--dry-run"], {
      environment: {
        MAYFLY_URL: broker.api.url,
        MAYFLY_ADMIN_TOKEN: installation.adminToken,
        ORDERS_PASSWORD: "not-the-password",
      },
    });
    expect(wrong.code).toBe(4);
    expect(wrong.out).toMatch(/^! backend orders-db$/m);
    expect(wrong.err).toContain("the server refused the login");
    expect(wrong.out + wrong.err).not.toContain("not-the-password");
  });

  test("policy tests are run first: one that fails stops everything", async () => {
    await change("policies/orders.test.yaml", "expect: deny", "expect: permit");
    await change("roles/orders.yaml", "ttl_max: 30m", "ttl_max: 20m");
    const failed = await apply();
    expect(failed.code).toBe(1);
    expect(failed.out).toMatch(/✗ nobody writes +\S+orders\.test\.yaml:5:3/);
    expect((await mayfly("role", "list", "--json")).out).not.toContain("1200");
  });

  test("an unknown key names file, line and column, whoever found it", async () => {
    await change("backends/orders.yaml", "tls: unsafe_disable", "tlss: unsafe_disable");
    const config = await apply();
    expect(config.code).toBe(3);
    expect(config.err).toMatch(/where +\S+backends\/orders\.yaml:9:3/);
    await writeFiles(folder, files);
    await change("roles/orders.yaml", "environment: test", "enviroment: test");
    const shape = await apply();
    expect(shape.code).toBe(3);
    expect(shape.err).toMatch(/where +\S+roles\/orders\.yaml:\d+:1/);
    await writeFiles(folder, files);
    await change("trust/system.yaml", "  trust_domain:", "  domain: x\n  trust_domain:");
    expect((await apply()).err).toMatch(/where +\S+trust\/system\.yaml:4:3/);
  });

  test("a literal secret is refused before anything is sent", async () => {
    await change("backends/orders.yaml", "{ from: env:ORDERS_PASSWORD }", "hunter2-literal");
    const refused = await apply();
    expect(refused.code).toBe(3);
    expect(refused.err).toMatch(/where +\S+backends\/orders\.yaml:8:3/);
    expect(refused.out + refused.err).not.toContain("hunter2-literal");
  });

  test("pruning shows what goes, needs --yes, and keeps a backend with live leases", async () => {
    const details = {
      type: "mayfly-task",
      goal: "read orders",
      deadline: "10m",
      credentials: [{ role: "orders-db/reader" }],
    };
    const opened = await broker.api.exchange({ subject: installation.svid("bot"), details });
    accepted(opened, "an exchange");
    await rm(join(folder, "backends/orders.yaml"));
    await rm(join(folder, "roles/orders.yaml"));
    await rm(join(folder, "policies/orders.test.yaml"));
    const dry = await apply("--prune", "--dry-run");
    expect(dry.out).toMatch(/^- role {4}orders-db\/reader$/m);
    expect(dry.out).toMatch(/^= backend orders-db\n {4}stays: it has live leases/m);
    const asked = await apply("--prune");
    expect(asked.code).toBe(2);
    expect(asked.err).toContain("deletes role orders-db/reader");
    expect((await mayfly("role", "list", "-q")).out).toBe("orders-db/reader\norders-db/writer\n");
    const pruned = await apply("--prune", "--yes");
    expect(pruned.code, pruned.err).toBe(1);
    expect(pruned.out).toMatch(/2 deleted, 2 unchanged, 1 kept\n$/);
    expect((await mayfly("backend", "list", "-q")).out).toBe("orders-db\n");
  });

  test("an empty folder of a kind prunes all of it, a missing one nothing", async () => {
    await writeFiles(folder, files);
    expect((await apply()).code).toBe(0);
    await rm(join(folder, "trust"), { recursive: true });
    expect((await apply("--prune", "--dry-run")).out).toBe("0 changes, 4 unchanged\n");
    await writeFiles(folder, { "trust/README.md": "none" });
    const dry = await apply("--prune", "--dry-run");
    expect(dry.out).toMatch(/- trust {3}system\.test\n {4}WARNING: it is the last trust root/);
  });

  test("of two at once that change one role, none undoes the other unseen", async () => {
    await writeFiles(folder, files);
    expect((await apply()).code).toBe(0);
    const other = await mkdtemp(join(tmpdir(), "mayfly-apply-"));
    await writeFiles(other, files);
    const roles = files["roles/orders.yaml"] ?? "";
    await change("roles/orders.yaml", "ttl_max: 30m", "ttl_max: 11m");
    const theirs = { "roles/orders.yaml": roles.replace("ttl_max: 30m", "ttl_max: 12m") };
    await writeFiles(other, theirs);
    const ran = await Promise.all([apply(), mayfly("apply", "-f", other)]);
    await rm(other, { recursive: true, force: true });
    const codes = ran.map(({ code }) => code).toSorted((a, b) => Number(a) - Number(b));
    expect([
      [0, 0],
      [0, 4],
    ]).toContainEqual(codes);
    for (const { code, err } of ran) if (code === 4) expect(err).toContain("precondition_failed");
    expect((await apply()).code).toBe(0);
    expect((await apply("--dry-run", "--exit-code")).code).toBe(0);
  });

  test("killed at its worst moment, it goes on from there when it is run again", async () => {
    const more = Array.from({ length: 6 }, (_, at) => role(`r${at}`, "app_reader")).join("---\n");
    await writeFiles(folder, { "roles/more.yaml": more });
    const killed = runMayfly(["apply", "-f", folder], {
      environment: environment(),
      started: (pid) => signalAfter(3, pid, "SIGKILL"),
    });
    const { code } = await killed;
    const done = await rolesThere();
    const again = await apply();
    expect(again.code, again.err).toBe(0);
    // The call that was under way when it was killed may be answered after the count.
    const created = Number(/(\d+) created/.exec(again.out)?.[1]);
    if (code === null) expect([8 - done, 7 - done]).toContain(created);
    expect(await rolesThere()).toBe(8);
    expect((await apply()).out).toBe("0 changes, 11 unchanged\n");
  });

  test("interrupted, it ends with 130 and says what was done and what was not", async () => {
    const more = Array.from({ length: 9 }, (_, at) => role(`s${at}`, "app_reader")).join("---\n");
    await writeFiles(folder, { "roles/some.yaml": more });
    const { code, err } = await runMayfly(["apply", "-f", folder], {
      environment: environment(),
      // The second of these: so the answer to the first was read.
      started: (pid) => signalAfter(10, pid, "SIGINT"),
    });
    expect([0, 130]).toContain(code);
    if (code === 130) expect(err).toMatch(/^done:\n +role orders-db\/s0/m);
    expect((await apply()).code).toBe(0);
  });
});

describe("an audience that one backend gives up and another one takes", () => {
  const api = (name: string, ...audiences: readonly string[]): string =>
    `backend: ${name}\ntype: jwt\nconfig: { audiences: ${JSON.stringify(audiences)} }\n`;
  const write = (...apis: readonly string[]): Promise<void> =>
    writeFiles(folder, { "backends/apis.yaml": apis.join("---\n") });

  test("moves in one run, whichever stands first in the files; two that swap are refused", async () => {
    const [one, two, three] = ["https://one.test", "https://two.test", "https://three.test"];
    await write(api("a-api", three), api("b-api", one, two));
    expect((await apply()).code).toBe(0);
    await write(api("a-api", three, two), api("b-api", one));
    const moved = await apply();
    expect(moved.code, moved.err).toBe(0);
    const done = moved.err.split("\n").filter((line) => line.startsWith("updated  backend"));
    expect(done).toEqual(["updated  backend b-api", "updated  backend a-api"]);
    await write(api("a-api", three, one), api("b-api", two));
    const swapped = await apply();
    expect(swapped.code).not.toBe(0);
    expect(swapped.err + swapped.out).toContain("is one of backend");
    await write(api("a-api", three, two), api("b-api", one));
    expect((await apply()).out).toContain("0 changes");
  });
});

async function rolesThere(): Promise<number> {
  const [row] = await installation.ledger<{ n: number }[]>`
    SELECT count(*)::integer AS n FROM mayfly.roles WHERE deleted_at IS NULL`;
  return row?.n ?? 0;
}
function signalAfter(roles: number, pid: number, signal: NodeJS.Signals): void {
  const gone = (): undefined => undefined;
  untilRoles(roles)
    .then(() => process.kill(pid, signal), gone)
    .catch(gone);
}
const untilRoles = (count: number): Promise<unknown> =>
  until("roles to be made", 20_000, async () => (await rolesThere()) >= count);
