import { describe, expect, it } from "vitest";
import { ADMIN_TOKEN, createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { BACKEND_PASSWORD, READER } from "../testing/registered.ts";
import { OIDC_ISSUER } from "../testing/test-identities.ts";
import { at, exchange, listAt, opened, textAt } from "../testing/token-form.ts";

const BACKEND = "/v1/backends/orders-db";
const ROLE = "/v1/roles/orders-db/auditor";
const role = (change: Readonly<Record<string, unknown>> = {}): unknown => ({
  groups: ["app_reader"],
  data_class: "internal",
  reversibility: "read_only",
  environment: "test",
  ...change,
});
const backend = (change: Readonly<Record<string, unknown>> = {}): unknown => ({
  type: "fake",
  config: { address: "orders.internal", password: BACKEND_PASSWORD },
  ...change,
});

describe("administration", () => {
  const calls: readonly (readonly [method: string, path: string])[] = [
    ["GET", "/v1/backends"],
    ["GET", BACKEND],
    ["PUT", BACKEND],
    ["DELETE", BACKEND],
    ["POST", `${BACKEND}/test`],
    ["POST", `${BACKEND}/disable`],
    ["GET", "/v1/backend-types"],
    ["GET", "/v1/backend-types/fake"],
    ["GET", "/v1/roles"],
    ["PUT", ROLE],
    ["DELETE", ROLE],
    ["GET", "/v1/trust"],
    ["PUT", "/v1/trust/x"],
    ["DELETE", "/v1/trust/x"],
    ["GET", "/v1/policies"],
    ["PUT", "/v1/policies"],
  ];
  it.each(calls)("by %s %s is for administrators alone", async (method, path) => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    const before = bench.ledger.inspect.events().length;
    const svid = bench.identities.svid("bot");
    for (const [token, status] of [
      [task.token, 403],
      [svid, 403],
      [`${ADMIN_TOKEN}x`, 401],
      ["nonsense", 401],
    ] as const) {
      const answer = await bench.call(method, path, { token });
      expect(answer.status).toBe(status);
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
    }
    expect((await bench.call(method, path)).status).toBe(401);
    expect(bench.ledger.inspect.events()).toHaveLength(before);
  });

  it.each([
    ["no type", backend({ type: undefined }), "body.type"],
    ["an unknown type", backend({ type: "oracle" }), "type"],
    ["an unknown member", backend({ note: "x" }), "body.note"],
    [
      "an unknown member of the configuration",
      backend({ config: { address: "x", password: "y", port: 1 } }),
      "config.port",
    ],
    [
      "a configuration without its password",
      backend({ config: { address: "x" } }),
      "config.password",
    ],
    ["no configuration", backend({ config: undefined }), "body.config"],
    ["enabled in words", backend({ enabled: "yes" }), "body.enabled"],
  ])("refuses a backend with %s, by name, and repeats no value", async (_what, body, where) => {
    const bench = await createBrokerBench({ registered: false });
    const answer = await bench.admin("PUT", BACKEND, body);
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({ code: "invalid_input", where });
    expect(answer.text).not.toContain(BACKEND_PASSWORD);
    expect(listAt(await bench.admin("GET", "/v1/backends"), "items")).toEqual([]);
  });
  it.each([
    ["an unknown member", role({ superuser: true }), "superuser"],
    ["a data class of its own", role({ data_class: "top" }), "role.data_class"],
    ["a life in no unit", role({ ttl_max: "30" }), "role.ttl_max"],
    ["a life past the type's", role({ ttl_max: "7d" }), "role.ttl_max"],
    ["no reversibility", role({ reversibility: undefined }), "role.reversibility"],
    ["its name in the body as well", role({ role: READER }), "body.role"],
  ])("refuses a role with %s, by name", async (_what, body, where) => {
    const bench = await createBrokerBench();
    const answer = await bench.admin("PUT", ROLE, body);
    expect(answer.status).toBe(422);
    expect(textAt(answer, "where")).toContain(where);
    expect((await bench.admin("GET", "/v1/roles")).text).not.toContain("auditor");
  });
  it.each([
    ["a role of a backend that is not there", "/v1/roles/none/x", role(), 404],
    ["a backend of a bad name", "/v1/backends/Orders", backend(), 422],
    [
      "a trust root of an issuer that another one has",
      "/v1/trust/second",
      { kind: "oidc", config: { issuer: OIDC_ISSUER } },
      409,
    ],
    ["a role of a bad name", "/v1/roles/orders-db/A%20b", role(), 422],
    ["a trust root of a bad name", "/v1/trust/UP", { kind: "oidc", config: {} }, 422],
    ["a trust root of another kind", "/v1/trust/x", { kind: "saml", config: {} }, 422],
    ["a trust root with an unknown member", "/v1/trust/x", { kind: "oidc", config: {}, x: 1 }, 422],
    [
      "a trust root with an unknown setting",
      "/v1/trust/x",
      { kind: "oidc", config: { isuer: "x" } },
      422,
    ],
    [
      "policies that are no policies",
      "/v1/policies",
      { sources: [{ name: "a", text: "permit" }] },
      422,
    ],
    ["policies without a source", "/v1/policies", { sources: [] }, 422],
  ])("refuses %s", async (_what, path, body, status) => {
    const bench = await createBrokerBench();
    const before = bench.ledger.inspect.events().length;
    const answer = await bench.admin("PUT", path, body);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ status, todo: expect.any(String) as unknown });
    expect(bench.ledger.inspect.events()).toHaveLength(before);
  });
  it.each([
    ["a repeated member", '{"type":"fake","type":"fake"}', "invalid_request"],
    ["no JSON", "type: fake", "invalid_request"],
    ["nine levels", `{"config":${"[".repeat(9)}${"]".repeat(9)}}`, "invalid_request"],
    ["a list", "[]", "invalid_input"],
    ["null", "null", "invalid_input"],
  ])("refuses a body of %s", async (_what, body, code) => {
    const bench = await createBrokerBench({ registered: false });
    const answer = await bench.call("PUT", BACKEND, { token: ADMIN_TOKEN, body });
    expect(at(answer, "code")).toBe(code);
  });
  it.each([
    ["PUT", ROLE, role()],
    ["PUT", BACKEND, backend()],
    ["PUT", "/v1/trust/x", { kind: "spiffe", config: { trust_domain: "x.test" } }],
    ["PUT", "/v1/policies", { sources: [{ name: "a", text: "" }] }],
    ["POST", `${BACKEND}/test`, { a: 1 }],
  ])("refuses a member __proto__ in %s %s, which a copy would lose", async (method, path, body) => {
    const bench = await createBrokerBench();
    const text = JSON.stringify(body).replace("{", '{"__proto__":{"groups":["app_owner"]},');
    const answer = await bench.call(method, path, { token: ADMIN_TOKEN, body: text });
    expect([answer.status, at(answer, "code")]).toEqual([400, "invalid_request"]);
    expect(textAt(answer, "detail")).toContain("__proto__");
  });
  it("refuses a body that is called something else than JSON, and one above a megabyte", async () => {
    const bench = await createBrokerBench({ registered: false });
    const headers = { "content-type": "text/plain" };
    const plain = await bench.call("PUT", BACKEND, {
      token: ADMIN_TOKEN,
      body: backend(),
      headers,
    });
    expect(at(plain, "where")).toBe("Content-Type");
    const body = JSON.stringify({ type: "x".repeat(1024 * 1024) });
    const large = await bench.call("PUT", BACKEND, { token: ADMIN_TOKEN, body });
    expect([large.status, at(large, "code")]).toEqual([413, "too_large"]);
    expect(textAt(large, "detail")).toContain("1048576");
  });

  it("says whether a put created, changed or found the same", async () => {
    const bench = await createBrokerBench({ registered: false });
    const put = async (body: unknown) => {
      const answer = await bench.admin("PUT", BACKEND, body);
      return [answer.status, at(answer, "result"), at(answer, "backend", "revision")];
    };
    const config = { address: "other.internal", password: BACKEND_PASSWORD };
    expect(await put(backend())).toEqual([201, "created", 1]);
    expect(await put(backend())).toEqual([200, "unchanged", 1]);
    expect(await put(backend({ config }))).toEqual([200, "updated", 2]);
  });
  it("never gives a secret of a configuration back, not in an error either", async () => {
    const bench = await createBrokerBench();
    bench.upstream.fail("selfCheck", "unavailable");
    const answers = [
      await bench.admin("PUT", BACKEND, backend()),
      await bench.admin("PUT", BACKEND, backend()),
      await bench.admin("GET", BACKEND),
      await bench.admin("GET", "/v1/backends"),
      await bench.admin("POST", `${BACKEND}/test`, {}),
      await bench.admin("GET", "/v1/events"),
    ];
    for (const answer of answers) expect(answer.text).not.toContain(BACKEND_PASSWORD);
    expect(at(answers[2] ?? answers[0]!, "config")).toEqual({
      address: "orders.internal",
      password: "[secret]",
    });
    bench.log.assertNoSecret(BACKEND_PASSWORD);
  });
  it("says of a backend that lacks a right what to do, and registers nothing", async () => {
    const bench = await createBrokerBench({ registered: false });
    bench.upstream.fail("selfCheck", "pretend");
    const answer = await bench.admin("PUT", BACKEND, backend());
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({
      code: "check_failed",
      problems: [{ code: "fake_right_missing", fix: "Call heal()." }],
    });
    expect(listAt(await bench.admin("GET", "/v1/backends"), "items")).toEqual([]);
  });
  it("does not delete a backend with live leases, and does once they have ended", async () => {
    const bench = await createBrokerBench();
    const task = opened(await exchange(bench, bench.identities.svid("bot")));
    const refused = await bench.admin("DELETE", BACKEND);
    expect([refused.status, at(refused, "code")]).toEqual([409, "conflict"]);
    await bench.call("POST", `/v1/tasks/${task.id}/complete`, {
      token: task.token,
      body: { wait: "10s" },
    });
    const withRoles = await bench.admin("DELETE", BACKEND);
    expect([withRoles.status, at(withRoles, "code")]).toEqual([409, "conflict"]);
    for (const shape of ["reader", "writer", "secret"]) {
      expect((await bench.admin("DELETE", `/v1/roles/orders-db/${shape}`)).status).toBe(204);
    }
    expect((await bench.admin("DELETE", BACKEND)).status).toBe(204);
    expect((await bench.admin("GET", BACKEND)).status).toBe(404);
    expect((await bench.admin("DELETE", BACKEND)).status).toBe(404);
  });
  it("registers a backend again under a name that was deleted", async () => {
    const bench = await createBrokerBench({ registered: false });
    expect((await bench.admin("PUT", BACKEND, backend())).status).toBe(201);
    expect((await bench.admin("DELETE", BACKEND)).status).toBe(204);
    const again = await bench.admin("PUT", BACKEND, backend());
    expect([again.status, at(again, "result"), at(again, "backend", "revision")]).toEqual([
      201,
      "created",
      2,
    ]);
  });
  it("of a disabled backend: it issues nothing, but ends; enabled again it issues", async () => {
    const bench = await createBrokerBench();
    const svid = bench.identities.svid("bot");
    const task = opened(await exchange(bench, svid));
    expect((await bench.admin("POST", `${BACKEND}/disable`)).status).toBe(200);
    const refused = await exchange(bench, svid);
    expect(refused.status).toBe(503);
    expect(refused.body).toMatchObject({
      error: "temporarily_unavailable",
      code: "issuing_paused",
    });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    // Registering it again does not enable it in passing.
    expect((await bench.admin("PUT", BACKEND, backend())).status).toBe(200);
    expect((await exchange(bench, svid)).status).toBe(503);
    const ended = await bench.call("POST", `/v1/tasks/${task.id}/complete`, {
      token: task.token,
      body: { wait: "10s" },
    });
    expect(at(ended, "leases", 0, "outcome")).toBe("revoked");
    await bench.admin("POST", `${BACKEND}/enable`);
    expect((await exchange(bench, svid)).status).toBe(200);
  });
  it("of a role: what is deleted is issued no more, and said in the words of one unknown", async () => {
    const bench = await createBrokerBench();
    expect((await bench.admin("DELETE", `/v1/roles/${READER}`)).status).toBe(204);
    const answer = await exchange(bench, bench.identities.svid("bot"));
    expect(textAt(answer, "error_description")).toMatch(/^No policy permits orders-db\/reader/);
    const again = await bench.admin("DELETE", `/v1/roles/${READER}`);
    expect(again.status).toBe(404);
  });
  it("of policies: every problem comes with its place, and the old ones stay", async () => {
    const bench = await createBrokerBench();
    const digest = at(await bench.admin("GET", "/v1/policies"), "digest");
    const sources = [{ name: "bad.cedar", text: "permit (principal, action, resource);" }];
    const answer = await bench.admin("PUT", "/v1/policies", { sources });
    expect(answer.body).toMatchObject({ code: "config_invalid" });
    expect(textAt(answer, "problems", 0, "source")).toBe("bad.cedar");
    expect(at(await bench.admin("GET", "/v1/policies"), "digest")).toBe(digest);
  });
  it("shows what is registered, with names that a file would have", async () => {
    const bench: BrokerBench = await createBrokerBench();
    const roles = await bench.admin("GET", "/v1/roles");
    const reader = listAt(roles, "items").find((item) => JSON.stringify(item).includes(READER));
    expect(reader).toMatchObject({
      role: READER,
      backend: "orders-db",
      ttl_max_seconds: 1800,
      data_class: "confidential",
      reversibility: "read_only",
      environment: "test",
      groups: ["app_reader", "app_stats"],
    });
    const trust = await bench.admin("GET", "/v1/trust");
    expect(listAt(trust, "items")).toHaveLength(3);
    expect(at(await bench.admin("GET", BACKEND), "updated_at")).toBe(
      new Date(bench.clock.now()).toISOString(),
    );
  });

  it("tells of a policy that may reach further than was meant, and activates it all the same", async () => {
    const bench = await createBrokerBench();
    const text = `@id("wide") permit (principal, action in Action::"credential", resource)
      when { principal.subject like "spiffe://acme.test/agent*" };`;
    const sources = [{ name: "a.cedar", text }];
    const warnings = [
      { source: "a.cedar", policy: "wide", line: 1, message: expect.any(String) as string },
    ];
    const plan = await bench.admin("POST", "/v1/plan", { policies: { sources } });
    expect(at(plan, "objects", 0)).toMatchObject({ result: "updated", warnings });
    const put = await bench.admin("PUT", "/v1/policies", { sources });
    expect(put.body).toMatchObject({ result: "updated", warnings });
  });
});
