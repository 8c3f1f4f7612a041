import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { counts, lease, LEASE, NOW, problem, TOKEN } from "./__fixtures__/broker-answers.ts";
import { runAgainst, type Ran } from "./__fixtures__/run-against.ts";
import { TestBroker } from "./__fixtures__/test-broker.ts";
import type { Json, JsonObject } from "@mayfly/spec";

let broker: TestBroker;
let url: string;
beforeEach(async () => {
  broker = new TestBroker();
  url = await broker.start();
});
afterEach(() => broker.stop());
const run = (line: string): Promise<Ran> => runAgainst(url, line);

describe("doctor", () => {
  const backend: JsonObject = {
    id: "orders-db",
    type: "postgres",
    revision: 1,
    enabled: true,
    config: {},
    upstream_identity: "system 7",
    updated_at: NOW,
  };
  const check: JsonObject = {
    upstream_identity: "system 7",
    clock_skew_ms: 1,
    facts: {},
    problems: [],
  };
  beforeEach(() => {
    broker.answers.set("GET /healthz", { body: { status: "ok" } });
    broker.answers.set("GET /readyz", { body: { status: "ready" } });
    broker.answers.set("GET /v1/ledger/counts", { body: counts() });
    broker.answers.set("GET /v1/leases", { body: { items: [], next: null } });
    const policies = { digest: "ab".repeat(32), sources: [], activated_at: NOW };
    broker.answers.set("GET /v1/policies", { body: policies });
    broker.answers.set("GET /v1/backends", { body: { items: [backend] } });
    broker.answers.set("POST /v1/backends/orders-db/test", { body: check });
    broker.answers.set("GET /v1/diagnosis", { body: diagnosis() });
    const metadata = "GET /.well-known/oauth-authorization-server";
    broker.answers.set(metadata, { body: { issuer: url, token_endpoint: `${url}/token` } });
    broker.answers.set("GET /v1/sealing", { body: { keys: ["k2", "k1"], counts: [] } });
    broker.answers.set("GET /v1/trust", { body: { items: [root("acme.test")] } });
    broker.answers.set("POST /v1/trust/acme.test/test", { body: rootLook() });
  });
  const diagnosis = (more: JsonObject = {}): JsonObject => ({
    issuer: url,
    now: NOW,
    sweep_interval_seconds: 10,
    listing_interval_seconds: 60,
    unsafe_settings: [],
    ...more,
  });
  const root = (name: string, more: JsonObject = {}): JsonObject => ({
    name,
    kind: "spiffe",
    enabled: true,
    config: { trust_domain: "acme.test" },
    ...more,
  });
  const rootLook = (problem: string | null = null): JsonObject => ({
    source: "https://spire.acme.test/bundle",
    fetched: true,
    keys: problem === null ? [{}] : [],
    max_age_seconds: 300,
    problem,
  });

  test("is content with a set-up in order, and says what it could not look at", async () => {
    const { code, out } = await run("doctor");
    expect(out).not.toContain("✗");
    expect(code).toBe(0);
    expect(out).toMatch(/^- ledger .*MAYFLY_DATABASE_URL is not set$/m);
  });

  test("names a stuck lease, a backend's problem with what mends it, and late ends", async () => {
    const late = counts({ leases_overdue: 3, oldest_due_seconds: 600 });
    broker.answers.set("GET /v1/ledger/counts", { body: late });
    const stuck = lease({ state: "stuck", last_error: "connection refused" });
    broker.answers.set("GET /v1/leases", { body: { items: [stuck], next: null } });
    const problems = [{ code: "no_signal", what: "No pg_signal_backend.", fix: "GRANT …;" }];
    const failing = { body: { ...check, problems } };
    broker.answers.set("POST /v1/backends/orders-db/test", failing);
    const { code, out } = await run("doctor --json");
    expect(code).toBe(1);
    const bad = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ result }) => result === "bad");
    expect(bad.map(({ check: name }) => name)).toEqual(["leases", "stuck", "backend orders-db"]);
    expect(bad[1]).toMatchObject({ text: `${LEASE} at orders-db: connection refused` });
    expect(bad[2]).toMatchObject({ text: "No pg_signal_backend.", todo: "GRANT …;" });
  });

  test("tells when sweeps and listings came by, and what is late or never came", async () => {
    const { out: well } = await run("doctor");
    expect(well).toMatch(/^✓ sweep +the last sweep finished 4 s ago$/m);
    expect(well).toMatch(/^✓ listing of orders-db +finished 31 s ago$/m);
    const backends = [{ backend: "orders-db", leases_stuck: 2, listing_age_seconds: null }];
    const late = counts({ sweep_age_seconds: 300, backends });
    broker.answers.set("GET /v1/ledger/counts", { body: late });
    const { code, out } = await run("doctor");
    expect(code).toBe(1);
    expect(out).toMatch(/^✗ sweep +the last sweep finished 5 min ago$/m);
    expect(out).toMatch(/^✗ listing of orders-db +has never finished.*; 2 stuck leases there$/m);
    broker.answers.set("GET /v1/ledger/counts", { body: { leasesOverdue: 0 } });
    expect((await run("doctor")).out).toMatch(/^✗ leases +The broker's answer is not as expected/m);
  });

  test("a database that does not answer is a URL to correct, not a time to wait", async () => {
    const login = "postgres://mayfly_broker:wrong@127.0.0.1:1/mayfly";
    const environment = { MAYFLY_URL: url, MAYFLY_ADMIN_TOKEN: TOKEN, MAYFLY_DATABASE_URL: login };
    const { code, out } = await runAgainst(url, "doctor", { environment });
    expect(code).toBe(1);
    expect(out).toMatch(
      /^✗ ledger .*ECONNREFUSED\n +Start its server, or correct MAYFLY_DATABASE/m,
    );
    expect(out).not.toContain("wrong");
  });

  test("one look that fails hinders no other", async () => {
    broker.answers.delete("GET /v1/policies");
    const { code, out } = await run("doctor");
    expect(code).toBe(1);
    expect(out).toMatch(/✗ policies/);
    expect(out).toMatch(/✓ backend orders-db/);
  });

  interface Found {
    readonly check: string;
    readonly result: string;
    readonly severity: string;
    readonly text: string;
    readonly todo: string;
  }
  const badFindings = async (): Promise<readonly Found[]> => {
    const { code, out } = await run("doctor --json");
    const all = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Found);
    const found = all.filter(({ result }) => result === "bad");
    expect(code).toBe(found.length === 0 ? 0 : 1);
    return found;
  };
  const later = (ms: number): string => new Date(Date.parse(NOW) + ms).toISOString();
  type Case = readonly [string, string, (() => Json) | Json, string, string, RegExp];
  const CASES: readonly Case[] = [
    [
      "a broker whose clock is behind",
      "GET /v1/diagnosis",
      () => diagnosis({ now: later(-90_000) }),
      "clock",
      "error",
      /^the broker's clock is 1 min 30 s behind this machine's$/,
    ],
    [
      "a clock that is a little ahead",
      "GET /v1/diagnosis",
      () => diagnosis({ now: later(9_000) }),
      "clock",
      "warning",
      /ahead of/,
    ],
    [
      "a public URL that nothing answers",
      "GET /v1/diagnosis",
      () => diagnosis({ issuer: "http://127.0.0.1:1" }),
      "public URL",
      "warning",
      /^http:\/\/127\.0\.0\.1:1 does not answer from here/,
    ],
    [
      "a public URL that leads to another broker",
      "GET /.well-known/oauth-authorization-server",
      { issuer: "https://other.test" },
      "public URL",
      "error",
      /calls itself https:\/\/other\.test$/,
    ],
    [
      "a public URL that leads to something else",
      "GET /.well-known/oauth-authorization-server",
      { hello: "world" },
      "public URL",
      "error",
      /not as a broker$/,
    ],
    [
      "values sealed under a key that is gone",
      "GET /v1/sealing",
      { keys: ["k2"], counts: [{ kind: "lease_handle", key: "k0", values: 3 }] },
      "sealing keys",
      "error",
      /^3 of lease_handle sealed under k0,/,
    ],
    [
      "a trust root whose keys cannot be had",
      "POST /v1/trust/acme.test/test",
      () => rootLook("connect ECONNREFUSED"),
      "trust acme.test",
      "error",
      /^https:\/\/spire\.acme\.test\/bundle: connect ECONNREFUSED$/,
    ],
    [
      "no trust root that is enabled",
      "GET /v1/trust",
      () => ({ items: [root("acme.test", { enabled: false })] }),
      "trust",
      "error",
      /no trust root is enabled/,
    ],
    [
      "events that nobody appends",
      "GET /v1/ledger/counts",
      () => counts({ events_pending: 12, oldest_pending_seconds: 600 }),
      "log",
      "error",
      /^12 events wait for their place, the oldest for 10 min$/,
    ],
    [
      "rows in default partitions",
      "GET /v1/ledger/counts",
      () => counts({ rows_in_default_partitions: 7 }),
      "partitions",
      "warning",
      /^7 rows in default partitions$/,
    ],
    [
      "a listing that is late",
      "GET /v1/ledger/counts",
      () =>
        counts({ backends: [{ backend: "orders-db", leases_stuck: 0, listing_age_seconds: 600 }] }),
      "listing of orders-db",
      "error",
      /^finished 10 min ago$/,
    ],
    [
      "a backend whose clock differs",
      "POST /v1/backends/orders-db/test",
      () => ({ ...check, clock_skew_ms: -12_000 }),
      "backend orders-db",
      "warning",
      /^its clock is 12 s from the broker's$/,
    ],
  ];
  test.each(CASES)("finds %s", async (_what, call, body, name, severity, text) => {
    expect(await badFindings()).toEqual([]);
    broker.answers.set(call, { body: typeof body === "function" ? body() : body });
    const [found, ...more] = await badFindings();
    expect(more).toEqual([]);
    expect(found).toMatchObject({ check: name, severity });
    expect(found?.text).toMatch(text);
    expect(found?.todo).not.toBe("");
  });

  test("finds two trust roots that claim the same tokens", async () => {
    const items = [root("acme.test"), root("second")];
    broker.answers.set("GET /v1/trust", { body: { items } });
    broker.answers.set("POST /v1/trust/second/test", { body: rootLook() });
    const found = await badFindings();
    expect(found.map(({ text }) => text)).toEqual(["acme.test and second both claim acme.test"]);
  });

  test("finds unsafe settings, but not where only this machine reaches the broker", async () => {
    const names = { unsafe_settings: ["MAYFLY_UNSAFE_QUARANTINE_SECONDS"] };
    broker.answers.set("GET /v1/diagnosis", { body: diagnosis(names) });
    expect(await badFindings()).toEqual([]);
    const elsewhere = diagnosis({ ...names, issuer: "https://mayfly.invalid" });
    broker.answers.set("GET /v1/diagnosis", { body: elsewhere });
    const found = await badFindings();
    expect(found.map(({ check: name }) => name)).toEqual(["public URL", "unsafe settings"]);
  });

  test("an administrator by OIDC may not look at keys, and that is no finding", async () => {
    broker.answers.set("GET /v1/sealing", problem(403, "denied"));
    expect(await badFindings()).toEqual([]);
  });

  test("looks at an older broker too, and says what that does not tell", async () => {
    broker.answers.delete("GET /v1/diagnosis");
    broker.answers.delete("GET /v1/sealing");
    expect(await badFindings()).toEqual([]);
  });
});
