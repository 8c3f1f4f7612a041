import { beforeEach, describe, expect, it } from "vitest";
import type { RegisteredResourceServer } from "@mayfly/spec";
import { createTestX509Authority } from "@mayfly/testkit";
import {
  ADMIN_TOKEN,
  createBrokerBench,
  type Answer,
  type BrokerBench,
} from "../testing/broker-bench.ts";
import { createRegisteredClient } from "../testing/registered-client.ts";
import { OIDC_ISSUER } from "../testing/test-identities.ts";
import { at, exchange, opened } from "../testing/token-form.ts";
import type { CertificateChain } from "./peer-certificates.ts";

let bench: BrokerBench;
let shown: CertificateChain | null;
beforeEach(async () => {
  shown = null;
  bench = await createBrokerBench({ peerCertificates: () => shown });
});

type Members = Readonly<Record<string, string>>;
const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
const PATH = "/v1/resource-servers/reports-api";
const API = "spiffe://acme.test/agent/reports-api";
const AUDIENCES = ["https://reports.acme.test"];
const BY_ID = {
  identities: [{ spiffe_id: API }],
  audiences: AUDIENCES,
  task_tokens: ["orders-db"],
};

const register = (body: unknown = BY_ID): Promise<Answer> => bench.admin("PUT", PATH, body);
const post = (path: string, form: Members, token?: string): Promise<Answer> =>
  bench.call("POST", path, {
    ...(token === undefined ? {} : { token }),
    body: new URLSearchParams(form).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
const svidOf = (name: string): Members => ({
  client_assertion_type: ASSERTION,
  client_assertion: bench.identities.svid(name),
});
const openTask = async () => opened(await exchange(bench, bench.identities.svid("bot")));
const isTold = async (token: string, form: Members = svidOf("reports-api")): Promise<unknown> =>
  at(await post("/introspect", { token, ...form }), "active");
const told = (answer: Answer) => [answer.status, at(answer, "code"), at(answer, "where")];

describe("a registered resource server", () => {
  it("introspects the task tokens of its backends, and without a policy", async () => {
    const { id, token } = await openTask();
    expect(await isTold(token)).toBe(false);
    expect((await register()).status).toBe(201);
    const answer = await post("/introspect", { token, ...svidOf("reports-api") });
    expect(answer.body).toMatchObject({
      active: true,
      task: id,
      sub: expect.any(String) as string,
    });
    expect(await isTold(token, svidOf("other"))).toBe(false);
    expect(await isTold("x")).toBe(false);
    await bench.admin("POST", `/v1/tasks/${id}/kill`, {});
    expect(await isTold(token)).toBe(false);
  });

  it("is told nothing of tasks that declared no role of its backends, unless it is of all", async () => {
    const { token } = await openTask();
    for (const [task_tokens, isOf] of [
      [undefined, false],
      [[], false],
      [["billing-db"], false],
      [["orders-db", "billing-db"], true],
      ["all", true],
    ] as const) {
      await register({ ...BY_ID, task_tokens });
      const answer = await post("/introspect", { token, ...svidOf("reports-api") });
      expect([task_tokens, at(answer, "active")]).toEqual([task_tokens, isOf]);
      if (!isOf) expect(answer.body).toEqual({ active: false });
    }
    // An owner and a reader by policy are told what they were, whatever the server is of.
    await register({ ...BY_ID, task_tokens: [] });
    expect(await isTold(token, svidOf("bot"))).toBe(true);
  });

  it("that an earlier version registered is told of every task, and shown so, until it is put", async () => {
    const { token } = await openTask();
    const { task_tokens: _, ...before } = BY_ID;
    await register(before);
    expect(await isTold(token)).toBe(false);
    const { resourceServers } = await bench.ledger.catalog.snapshot();
    const [{ taskTokens: _of, revision: _n, updatedAt: _at, ...stored }] = resourceServers as [
      RegisteredResourceServer,
    ];
    await bench.ledger.catalog.putResourceServer(stored, { kind: "system", name: "broker" });
    expect(at(await bench.admin("GET", PATH), "task_tokens")).toBe("all");
    expect(await isTold(token)).toBe(true);
    const planned = await bench.admin("POST", "/v1/plan", {
      resource_servers: [{ resource_server: "reports-api", ...before }],
    });
    expect(at(planned, "objects", 0)).toMatchObject({
      result: "updated",
      changes: [{ path: "task_tokens", from: "all", to: [] }],
    });
    await register(before);
    expect(await isTold(token)).toBe(false);
  });

  it("does so by each kind of client authentication, and as a bearer", async () => {
    const { token } = await openTask();
    const client = createRegisteredClient(bench);
    await client.register();
    await register({
      task_tokens: "all",
      identities: [
        { spiffe_id: "spiffe://acme.test/agent/*" },
        { issuer: client.clientId, subject: client.clientId },
        { issuer: OIDC_ISSUER, subject: "reports-api" },
      ],
    });
    expect(await isTold(token)).toBe(true);
    expect(await isTold(token, client.form())).toBe(true);
    for (const sent of [bench.identities.svid("x"), bench.identities.oidc("reports-api")]) {
      expect(at(await post("/introspect", { token }, sent), "active")).toBe(true);
    }
    const other = bench.identities.oidc("somebody");
    expect(at(await post("/introspect", { token }, other), "active")).toBe(false);
    const authority = createTestX509Authority({ clock: bench.clock });
    const { keys } = bench.identities.trustDomain.bundle() as { readonly keys: readonly unknown[] };
    const bundle = { keys: [...keys, authority.bundleKey()] };
    const config = { trust_domain: "acme.test", bundle };
    await bench.admin("PUT", "/v1/trust/acme.test", { kind: "spiffe", config });
    const names = [{ uniformResourceIdentifier: API }];
    const [leaf = new Uint8Array(), ...others] = authority.intermediate().issue({ names }).chain;
    shown = [leaf, ...others];
    expect(await isTold(token, { client_id: API })).toBe(true);
  });

  it("may do nothing else: not read, not end, not see the ledger or what is registered", async () => {
    const { id, token, leases } = await openTask();
    await register();
    const server = bench.identities.svid("reports-api");
    for (const [method, path] of [
      ["GET", "/v1/tasks"],
      ["GET", `/v1/tasks/${id}`],
      ["GET", `/v1/leases/${leases[0]}`],
      ["GET", "/v1/leases"],
      ["GET", "/v1/events"],
      ["GET", "/v1/resource-servers"],
      ["GET", PATH],
      ["POST", `/v1/tasks/${id}/kill`],
      ["POST", `/v1/leases/${leases[0]}/end`],
      ["DELETE", PATH],
    ] as const) {
      const body = method === "POST" ? { body: {} } : {};
      const answer = await bench.call(method, path, { token: server, ...body });
      expect([path, [403, 404].includes(answer.status)]).toEqual([path, true]);
    }
    expect((await post("/revoke", { token, ...svidOf("reports-api") })).status).toBe(200);
    expect(await isTold(token)).toBe(true);
  });

  it("is told nothing while it is disabled, once it is deleted, or is somebody else by now", async () => {
    const { token } = await openTask();
    await register();
    expect((await bench.admin("POST", `${PATH}/disable`, {})).body).toEqual({
      name: "reports-api",
      enabled: false,
    });
    expect(await isTold(token)).toBe(false);
    await bench.admin("POST", `${PATH}/enable`, {});
    expect(await isTold(token)).toBe(true);
    await register({ identities: [{ spiffe_id: `${API}s` }] });
    expect(await isTold(token)).toBe(false);
    await register();
    expect((await bench.admin("DELETE", PATH)).status).toBe(204);
    expect(await isTold(token)).toBe(false);
  });

  it("counts only as its trust root vouches for it", async () => {
    const { token } = await openTask();
    await register();
    await bench.admin("POST", "/v1/trust/acme.test/disable", {});
    const answer = await post("/introspect", { token, ...svidOf("reports-api") });
    expect([answer.status, at(answer, "error")]).toEqual([401, "invalid_client"]);
  });

  it("serves the audiences that it is registered with, and who is none serves null", async () => {
    await register();
    await bench.admin("PUT", "/v1/resource-servers/more", {
      identities: [{ spiffe_id: "spiffe://acme.test/agent/*" }],
      audiences: ["urn:more"],
    });
    const served = (subject: string) =>
      bench.core.servedAudiences({ kind: "spiffe", issuer: "spiffe://acme.test", subject });
    expect(await served(API)).toEqual(new Set([...AUDIENCES, "urn:more"]));
    expect(await served("spiffe://acme.test/agent/x")).toEqual(new Set(["urn:more"]));
    expect(await served("spiffe://acme.test/other")).toBeNull();
  });
});

describe("the registration of a resource server", () => {
  it("is shown and listed as it was made, with an ETag that changes are made of", async () => {
    await register({ ...BY_ID, description: "Reports" });
    const answer = await bench.admin("GET", PATH);
    expect(answer.body).toMatchObject({ name: "reports-api", ...BY_ID, description: "Reports" });
    expect(answer.headers.get("etag")).toBe('"1"');
    expect((await bench.admin("GET", "/v1/resource-servers")).body).toEqual({
      items: [answer.body],
    });
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "if-match": '"7"' };
    const stale = await bench.call("PUT", PATH, { body: BY_ID, headers });
    expect([stale.status, at(stale, "code")]).toEqual([412, "precondition_failed"]);
    expect(at(await register(BY_ID), "result")).toBe("updated");
    expect(at(await register(BY_ID), "result")).toBe("unchanged");
  });

  it.each([
    ["nobody", { identities: [] }, "resource_server.identities"],
    ["no identities", {}, "body.identities"],
    [
      "a star within a segment",
      { identities: [{ spiffe_id: "spiffe://acme.test/api*" }] },
      "resource_server.identities[0].spiffe_id",
    ],
    [
      "a subject of no issuer",
      { identities: [{ subject: "reports-api" }] },
      "resource_server.identities[0]",
    ],
    [
      "the same identity twice",
      { identities: [{ spiffe_id: API }, { spiffe_id: API }] },
      "resource_server.identities",
    ],
    [
      "an audience with a space",
      { ...BY_ID, audiences: ["https://a.test b"] },
      "resource_server.audiences[0]",
    ],
    ["the same audience twice", { ...BY_ID, audiences: ["a", "a"] }, "resource_server.audiences"],
    ["every backend by a star", { ...BY_ID, task_tokens: ["*"] }, "resource_server.task_tokens"],
    ["another word", { ...BY_ID, task_tokens: "some" }, "resource_server.task_tokens"],
    ["a member that does not exist", { ...BY_ID, role: "x" }, "body.role"],
  ])("with %s is refused", async (_what, body, where) => {
    const [status, , place] = told(await register(body));
    expect([status, place]).toEqual([422, where]);
    expect((await bench.admin("GET", PATH)).status).toBe(404);
  });

  it("is of an administrator, as far as policies permit", async () => {
    const { oidcKey } = bench.identities;
    await bench.admin("PUT", "/v1/trust/login", {
      kind: "oidc",
      config: { issuer: OIDC_ISSUER, jwks: { keys: [oidcKey.publicJwk] }, administrators: true },
    });
    const text = `
      @id("reports-team") permit (
        principal, action in [Action::"register", Action::"read"], resource is ResourceServer
      ) when { principal.trust_root == "login" &&
        ["https://reports.acme.test", "task-tokens:orders-db"]
          .containsAll(resource.audiences) };`;
    const activated = await bench.admin("PUT", "/v1/policies", { sources: [{ name: "a", text }] });
    expect(activated.status).toBe(200);
    const paula = (body: unknown) =>
      bench.call("PUT", PATH, { body, token: bench.identities.oidc("paula") });
    expect((await paula(BY_ID)).status).toBe(201);
    const wider = await paula({ ...BY_ID, audiences: [...AUDIENCES, "https://pay.acme.test"] });
    expect([wider.status, at(wider, "code")]).toEqual([403, "denied"]);
    const ofAll = await paula({ ...BY_ID, task_tokens: "all" });
    expect([ofAll.status, at(ofAll, "code")]).toEqual([403, "denied"]);
    const stranger = await bench.call("PUT", PATH, {
      body: BY_ID,
      token: bench.identities.svid("bot"),
    });
    expect(stranger.status).toBe(403);
  });

  it("of an earlier version is enabled as one of all, and disabled or narrowed as it stands", async () => {
    const { oidcKey } = bench.identities;
    await bench.admin("PUT", "/v1/trust/login", {
      kind: "oidc",
      config: { issuer: OIDC_ISSUER, jwks: { keys: [oidcKey.publicJwk] }, administrators: true },
    });
    const text = `
      @id("reports-team") permit (
        principal, action in [Action::"register", Action::"enable", Action::"disable"],
        resource is ResourceServer
      ) when {
        ["https://reports.acme.test", "task-tokens:orders-db"].containsAll(resource.audiences) };`;
    const activated = await bench.admin("PUT", "/v1/policies", { sources: [{ name: "a", text }] });
    expect(activated.status).toBe(200);
    await register();
    const { resourceServers } = await bench.ledger.catalog.snapshot();
    const [{ taskTokens: _of, revision: _n, updatedAt: _at, ...stored }] = resourceServers as [
      RegisteredResourceServer,
    ];
    await bench.ledger.catalog.putResourceServer(stored, { kind: "system", name: "broker" });
    const paula = (method: "POST" | "PUT", path: string, body: unknown) =>
      bench.call(method, path, { body, token: bench.identities.oidc("paula") });
    expect((await paula("POST", `${PATH}/disable`, {})).status).toBe(200);
    const enabled = await paula("POST", `${PATH}/enable`, {});
    expect([enabled.status, at(enabled, "code")]).toEqual([403, "denied"]);
    expect((await paula("PUT", PATH, { ...BY_ID, enabled: true })).status).toBe(200);
  });

  it("is planned without being made", async () => {
    const plan = async (body: unknown) =>
      at(await bench.admin("POST", "/v1/plan", { resource_servers: [body] }), "objects", 0);
    const wanted = { resource_server: "reports-api", ...BY_ID };
    expect(await plan(wanted)).toMatchObject({ kind: "resource_server", result: "created" });
    expect((await bench.admin("GET", PATH)).status).toBe(404);
    await register();
    expect(await plan(wanted)).toMatchObject({ result: "unchanged", tag: "1" });
    expect(await plan({ ...wanted, audiences: [] })).toMatchObject({
      result: "updated",
      changes: [{ path: "audiences", from: AUDIENCES, to: [] }],
    });
    expect(await plan({ ...wanted, identities: [] })).toMatchObject({ result: "refused" });
  });
});
