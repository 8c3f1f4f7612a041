import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TOKEN } from "./__fixtures__/broker-answers.ts";
import { runAgainst, type Ran } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";
import type { Io } from "./index.ts";

let broker: TestBroker;
let url: string;
let folder: string;
beforeEach(async () => {
  broker = new TestBroker();
  [url, folder] = [await broker.start(), await mkdtemp(join(tmpdir(), "mayfly-cli-"))];
});
afterEach(async () => {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});
const run = (line: string, more: Partial<Io> = {}): Promise<Ran> =>
  runAgainst(url, line.replaceAll("DIR", folder), more);

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}

const PERMIT = `@id("invoice-bots-read-orders")
permit (
  principal == Workload::"spiffe://acme.test/agent/invoice-bot",
  action == Action::"issue",
  resource == Role::"orders-db/reader"
) when { context.task.deadline_seconds <= 1800 };
`;
const TESTS = `- name: the invoice bot reads orders
  workload: spiffe://acme.test/agent/invoice-bot
  issue: orders-db/reader
  expect: permit
  because: [invoice-bots-read-orders]
- name: nobody else does
  workload: spiffe://acme.test/agent/other
  issue: orders-db/reader
  expect: deny
`;
const ROLE = `role: orders-db/reader
description: Read orders and invoices
member_of: app_reader
ttl_max: 30m
data_class: confidential
reversibility: read_only
environment: prod
`;
const BACKEND = `backend: orders-db
type: postgres
config:
  host: db.internal
  password: { from: env:ORDERS_DB_PASSWORD }
  ca: { from: file:CA }
  nested: [ { from: stdin } ]
`;
const GOOD = {
  // A trust root may be called so; it is no test of policies.
  "mayfly/trust/acme.test.yaml": "trust: acme.test\nkind: spiffe\nconfig: {}\n",
  "mayfly/policies/invoices.cedar": PERMIT,
  "mayfly/policies/invoices.test.yaml": TESTS,
  "mayfly/roles/orders-db.yaml": ROLE,
  "mayfly/backends/orders-db.yaml": BACKEND,
};

describe("policy test", () => {
  test("passes on the files of a platform team, roles found beside the policies", async () => {
    await write(GOOD);
    for (const path of ["DIR/mayfly", "DIR/mayfly/policies"]) {
      const { code, out, err } = await run(`policy test ${path}`);
      expect(code, out + err).toBe(0);
      expect(err).toContain("2 passed, 0 failed");
    }
  });

  test("fails with 1, and says which test, where, and what was other than expected", async () => {
    const wrong = TESTS.replace("expect: deny", "expect: permit");
    await write({ ...GOOD, "mayfly/policies/invoices.test.yaml": wrong });
    const { code, out, err } = await run("policy test DIR/mayfly");
    expect(code).toBe(1);
    expect(err).toContain("1 passed, 1 failed");
    expect(out).toMatch(
      /✗ nobody else does +\S+invoices\.test\.yaml:6:3\n +Expected permit, got deny/,
    );
    const json = await run("policy test DIR/mayfly --json");
    expect(json.out.trim().split("\n")).toHaveLength(2);
  });

  test("names the line of a member that does not exist", async () => {
    const wrong = TESTS.replace("  expect: deny", "  expct: deny");
    await write({ ...GOOD, "mayfly/policies/invoices.test.yaml": wrong });
    const { code, err } = await run("policy test DIR/mayfly");
    expect(code).toBe(3);
    expect(err).toMatch(/where +\S+invoices\.test\.yaml:6/);
  });

  test("is no success without a test, and without a policy", async () => {
    await write({ "only/a.cedar": PERMIT, "none/a.test.yaml": TESTS });
    expect((await run("policy test DIR/only")).code).toBe(2);
    expect((await run("policy test DIR/none")).code).toBe(2);
    expect((await run("policy test DIR/gone.txt")).code).toBe(2);
  });
});

test("policy check says file and line of what does not compile", async () => {
  const bad = PERMIT.replace("principal ==", "principle ==");
  await write({ "good.cedar": PERMIT, "bad.cedar": bad });
  expect((await run("policy check DIR/good.cedar")).code).toBe(0);
  const { code, out } = await run("policy check DIR/bad.cedar");
  expect(code).toBe(1);
  expect(out).toMatch(/bad\.cedar:\d+/);
  const json = await run("policy check DIR/bad.cedar --json");
  expect(JSON.parse(json.out)).toMatchObject({ ok: false, line: expect.any(Number) as number });
});

describe("backend put", () => {
  const answer = {
    result: "created",
    backend: {
      id: "orders-db",
      type: "postgres",
      revision: 1,
      enabled: true,
      config: { host: "db.internal", password: "[secret]" },
      upstream_identity: "system 7",
      updated_at: "2026-11-20T22:00:00.000Z",
    },
    check: { upstream_identity: "system 7", clock_skew_ms: 1, facts: {}, problems: [] },
  };
  const secrets = {
    environment: { ORDERS_DB_PASSWORD: "hunter2", MAYFLY_ADMIN_TOKEN: TOKEN },
    readInput: () => Promise.resolve("from stdin\n"),
  };

  test("resolves secrets by reference and shows none of them", async () => {
    await write({ ca: "certificate\n", "b.yaml": BACKEND.replace("CA", join(folder, "ca")) });
    broker.answers.set("PUT /v1/backends/orders-db", { status: 201, body: answer });
    const { code, out, err } = await run(`backend put DIR/b.yaml --url ${url}`, secrets);
    expect(code, err).toBe(0);
    expect(broker.requests[0]?.body).toEqual({
      type: "postgres",
      config: {
        host: "db.internal",
        password: "hunter2",
        ca: "certificate",
        nested: ["from stdin"],
      },
    });
    expect(err).toContain("created  backend orders-db");
    expect(out + err).not.toContain("hunter2");
  });

  test("sends nothing when a secret is missing, and says file and line", async () => {
    await write({ "b.yaml": BACKEND });
    const { code, err } = await run("backend put DIR/b.yaml");
    expect(code).toBe(3);
    expect(err).toContain("ORDERS_DB_PASSWORD");
    expect(err).toMatch(/b\.yaml:5/);
    expect(broker.requests).toEqual([]);
  });

  test("refuses a member that is not known, and a key that stands twice", async () => {
    await write({ "b.yaml": `${BACKEND}unknown: 1\n`, "c.yaml": `${BACKEND}type: mysql\n` });
    expect((await run("backend put DIR/b.yaml", secrets)).err).toContain("unknown");
    const twice = await run("backend put DIR/c.yaml", secrets);
    expect(twice.code).toBe(3);
    expect(twice.err).toMatch(/c\.yaml:8/);
    expect(broker.requests).toEqual([]);
  });
});

test("role put and trust put send what the routes take", async () => {
  const trust = "trust: acme.test\nkind: spiffe\nconfig: { bundle_url: https://acme.test/b }\n";
  await write({ "r.yaml": ROLE, "t.yaml": trust });
  broker.answers.set("PUT /v1/trust/acme.test", { body: { result: "updated", name: "acme.test" } });
  broker.answers.set("PUT /v1/roles/orders-db/reader", {
    body: {
      result: "unchanged",
      role: {
        role: "orders-db/reader",
        backend: "orders-db",
        description: "",
        ttl_max_seconds: 1800,
        data_class: "confidential",
        reversibility: "read_only",
        environment: "prod",
      },
    },
  });
  expect((await run("role put DIR/r.yaml")).err).toBe("unchanged  role orders-db/reader\n");
  expect((await run("trust put DIR/t.yaml")).err).toBe("updated  trust acme.test\n");
  expect(broker.requests[0]?.body).toMatchObject({ member_of: "app_reader", ttl_max: "30m" });
  expect(broker.requests[0]?.body).not.toHaveProperty("role");
  expect(broker.requests[1]?.body).toEqual({
    kind: "spiffe",
    config: { bundle_url: "https://acme.test/b" },
  });
});

test("policy check warns of a star that crosses segments, and is no failure for it", async () => {
  const wide = PERMIT.replace(/;\s*$/, "").concat(
    '\nwhen { principal.subject like "spiffe://acme.test/ns/*/sa" };\n',
  );
  await write({ "wide.cedar": wide });
  const { code, err } = await run("policy check DIR/wide.cedar");
  expect(code).toBe(0);
  expect(err).toMatch(/^! .*wide\.cedar:1 {2}\S+: principal\.subject like "spiffe:/);
  expect(err).toContain("principal.spiffe_path.containsAll(");
  const json = await run("policy check DIR/wide.cedar --json");
  expect(JSON.parse(json.out)).toMatchObject({ ok: true, warnings: [{ line: 1 }] });
});

test("policy activate tells what the broker warns of, asked or not", async () => {
  await write({ "p/a.cedar": PERMIT });
  broker.answers.set("GET /v1/policies", {
    body: { digest: null, sources: [], activated_at: null },
  });
  const warning = { source: "a.cedar", policy: "a", message: "a star crosses", line: 3 };
  const planned = { kind: "policies", name: "policies", result: "created", changes: [] };
  broker.answers.set("POST /v1/plan", {
    body: { objects: [{ ...planned, tag: null, error: null, warnings: [warning] }] },
  });
  broker.answers.set("PUT /v1/policies", { body: { result: "created", digest: "0".repeat(64) } });
  const { code, err } = await run("policy activate DIR/p --yes");
  expect(code, err).toBe(0);
  expect(err).toContain("a.cedar: WARNING: line 3, a: a star crosses\n");
});

test("policy activate shows what comes and goes, and asks", async () => {
  await write({ "p/sub/new.cedar": PERMIT });
  broker.answers.set("GET /v1/policies", {
    body: {
      digest: "00".repeat(32),
      sources: [{ name: "old.cedar", text: "" }],
      activated_at: "2026-11-20T22:00:00.000Z",
    },
  });
  broker.answers.set("PUT /v1/policies", { body: { result: "updated", digest: "ab".repeat(32) } });
  const planned = { kind: "policies", name: "policies", result: "updated", changes: [] };
  broker.answers.set("POST /v1/plan", { body: { objects: [{ ...planned, error: null }] } });
  const refused = await run("policy activate DIR/p");
  expect(refused.code).toBe(2);
  expect(refused.err).toMatch(/^\+ sub\/new\.cedar\n- old\.cedar\n/);
  const done = await run("policy activate DIR/p --yes");
  expect(done.code).toBe(0);
  expect(done.err).toContain("updated  policies@abababab");
  const sent = broker.requests.at(-1)?.body;
  expect(sent).toEqual({ sources: [{ name: "sub/new.cedar", text: PERMIT }] });
});

test("resource-server put sends what stands in the file, and refuses what does not belong", async () => {
  const server = `resource_server: reports-api
identities: [{ spiffe_id: spiffe://acme.test/api/* }]
audiences: [https://reports.acme.test]
task_tokens: [orders-db]
`;
  await write({ "s.yaml": server, "wrong.yaml": `${server}scope: all\n` });
  broker.answers.set("PUT /v1/resource-servers/reports-api", { body: { result: "created" } });
  const put = await run("resource-server put DIR/s.yaml");
  expect(put.err).toBe("created  resource-server reports-api\n");
  expect(broker.requests[0]?.body).toEqual({
    identities: [{ spiffe_id: "spiffe://acme.test/api/*" }],
    audiences: ["https://reports.acme.test"],
    task_tokens: ["orders-db"],
  });
  const wrong = await run("resource-server put DIR/wrong.yaml");
  expect([wrong.code, wrong.err]).toEqual([3, expect.stringContaining("scope: unknown key")]);
  expect(broker.requests).toHaveLength(1);
});
