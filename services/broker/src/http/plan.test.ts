import { describe, expect, it } from "vitest";
import { createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { BACKEND_PASSWORD } from "../testing/registered.ts";
import { OIDC_ISSUER, TRUST_DOMAIN } from "../testing/test-identities.ts";
import { exchange, opened } from "../testing/token-form.ts";

interface PlannedObject {
  readonly kind: string;
  readonly name: string;
  readonly result: string;
  readonly changes: readonly { readonly path: string; readonly secret: boolean }[];
  readonly error: { readonly code: string; readonly where?: string } | null;
}

async function planOf(bench: BrokerBench, body: unknown): Promise<readonly PlannedObject[]> {
  const before = bench.ledger.inspect.events().length;
  const answer = await bench.admin("POST", "/v1/plan", body);
  expect(answer.status, answer.text).toBe(200);
  expect(bench.ledger.inspect.events()).toHaveLength(before);
  return (answer.body as { readonly objects: readonly PlannedObject[] }).objects;
}

const config = { address: "orders.internal", password: BACKEND_PASSWORD };
const orders = (change: object = {}): object => ({
  backend: "orders-db",
  type: "fake",
  config: { ...config, ...change },
});
const auditor = (change: object = {}): object => ({
  role: "orders-db/auditor",
  groups: ["app_reader"],
  data_class: "internal",
  reversibility: "read_only",
  environment: "test",
  ...change,
});

describe("POST /v1/plan", () => {
  it("answers that what is there already changes nothing", async () => {
    const bench = await createBrokerBench();
    const policies = (await bench.admin("GET", "/v1/policies")).body as { sources: unknown };
    const planned = await planOf(bench, {
      backend: orders(),
      policies: { sources: policies.sources },
    });
    expect(planned).toMatchObject([
      { kind: "backend", name: "orders-db", result: "unchanged", changes: [] },
      { kind: "policies", result: "unchanged", changes: [] },
    ]);
  });

  it("compares few wrong secrets in a row, and then none, be it the right one", async () => {
    const bench = await createBrokerBench();
    const plan = async (password: string): Promise<string> => {
      const guess = orders({ password, address: "mine.evil.test" });
      const [planned] = await planOf(bench, { backend: guess });
      return planned?.error?.code ?? planned?.result ?? "";
    };
    // Who has it right may plan as often as they like.
    for (let turn = 0; turn < 40; turn++) expect(await plan(BACKEND_PASSWORD)).not.toBe("busy");
    for (let turn = 0; turn < 30; turn++) expect(await plan(`guess-${turn}`)).not.toBe("busy");
    expect([await plan("guess-x"), await plan(BACKEND_PASSWORD)]).toEqual(["busy", "busy"]);
    await bench.clock.advance(10_000);
    expect(await plan("guess-y")).not.toBe("busy");
    expect(await plan(BACKEND_PASSWORD)).toBe("busy");
  });

  it("says that a secret differs, and never what it is or was", async () => {
    const bench = await createBrokerBench();
    const secret = "another-password-1";
    const body = { backend: orders({ password: secret, address: "replica.internal" }) };
    const answer = await bench.admin("POST", "/v1/plan", body);
    expect(answer.body).toMatchObject({
      objects: [
        {
          result: "updated",
          changes: [
            {
              path: "config.address",
              from: "orders.internal",
              to: "replica.internal",
              secret: false,
            },
            { path: "config.password", from: "[secret]", to: "[secret]", secret: true },
          ],
        },
      ],
    });
    for (const text of [secret, BACKEND_PASSWORD]) {
      expect(answer.text).not.toContain(text);
      bench.log.assertNoSecret(text);
    }
  });

  it("plans a role below a backend that is planned with it, and neither is there after", async () => {
    const bench = await createBrokerBench();
    const planned = await planOf(bench, {
      backend: { ...orders(), backend: "second-db" },
      roles: [auditor({ role: "second-db/auditor" }), auditor()],
    });
    expect(planned.map(({ name, result }) => [name, result])).toEqual([
      ["second-db", "created"],
      ["second-db/auditor", "created"],
      ["orders-db/auditor", "created"],
    ]);
    expect((await bench.admin("GET", "/v1/backends")).text).not.toContain("second-db");
  });

  it("answers for each object why it would be refused, as its put would", async () => {
    const bench = await createBrokerBench();
    const rival = { trust: "rival", kind: "oidc", config: { issuer: OIDC_ISSUER } };
    const planned = await planOf(bench, {
      trust: [rival, { trust: "x" }],
      roles: [auditor({ role: "none/auditor" }), auditor({ superuser: true }), auditor()],
      policies: { sources: [{ name: "bad.cedar", text: "permit (" }] },
    });
    const refusals = planned.map(({ result, error }) => [result, error?.code, error?.where]);
    expect(refusals).toEqual([
      ["refused", "conflict", "trust.config"],
      ["refused", "invalid_input", "trust.kind"],
      ["refused", "not_found", "role.role"],
      ["refused", "invalid_input", expect.stringContaining("superuser")],
      ["created", undefined, undefined],
      ["refused", "config_invalid", "bad.cedar"],
    ]);
  });

  it("refuses the second of two trust roots in one plan that claim the same tokens", async () => {
    const bench = await createBrokerBench({ registered: false });
    const root = (trust: string): object => ({
      trust,
      kind: "oidc",
      config: { issuer: OIDC_ISSUER },
    });
    const planned = await planOf(bench, { trust: [root("a"), root("b")] });
    expect(planned.map(({ result }) => result)).toEqual(["created", "refused"]);
    // Member by member: in one piece, what makes administrators would be hard to see in it.
    const paths = planned[0]?.changes.map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(["config.issuer", "config.initiators"]));
  });

  it("makes the self-check that registering makes, and none for what stays as it is", async () => {
    const bench = await createBrokerBench();
    bench.upstream.fail("selfCheck", "pretend");
    const [moved] = await planOf(bench, { backend: orders({ address: "replica.internal" }) });
    expect(moved).toMatchObject({ result: "refused", error: { code: "check_failed" } });
    bench.upstream.fail("selfCheck", "pretend");
    expect(await planOf(bench, { backend: orders() })).toMatchObject([{ result: "unchanged" }]);
  });

  it("is for administrators alone, and takes no member that it does not know", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    expect((await bench.call("POST", "/v1/plan", { token: task.token, body: {} })).status).toBe(
      403,
    );
    expect((await bench.call("POST", "/v1/plan", { body: {} })).status).toBe(401);
    expect((await bench.admin("POST", "/v1/plan", { backends: [] })).status).toBe(422);
    const trusted = await planOf(bench, {
      trust: [{ trust: TRUST_DOMAIN, kind: "spiffe", enabled: false, config: {} }],
    });
    expect(trusted).toMatchObject([{ kind: "trust", result: "refused" }]);
  });
});

it("GET /schemas/NAME answers anybody how a file is written, a secret only as a reference", async () => {
  const bench = await createBrokerBench({ registered: false });
  const names = await bench.call("GET", "/schemas");
  expect(names.body).toMatchObject({
    items: expect.arrayContaining(["backend.fake.json"]) as unknown,
  });
  expect((await bench.call("GET", "/schemas/")).body).toEqual(names.body);
  const schema = await bench.call("GET", "/schemas/backend.fake.json");
  expect(schema.body).toMatchObject({
    properties: {
      config: { properties: { password: { $ref: "#/$defs/reference", writeOnly: true } } },
    },
  });
  expect((await bench.call("GET", "/schemas/backend.none.json")).status).toBe(404);
});

it("GET /v1/diagnosis tells an administrator alone what the set-up is", async () => {
  const bench = await createBrokerBench({ registered: false });
  expect((await bench.admin("GET", "/v1/diagnosis")).body).toEqual({
    issuer: "https://mayfly.test",
    now: new Date(bench.clock.now()).toISOString(),
    sweep_interval_seconds: 10,
    listing_interval_seconds: 60,
    unsafe_settings: ["MAYFLY_UNSAFE_QUARANTINE_SECONDS"],
  });
  expect((await bench.call("GET", "/v1/diagnosis")).status).toBe(401);
});
