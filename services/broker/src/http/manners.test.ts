import { beforeAll, describe, expect, it } from "vitest";
import { decodeProtectedHeader } from "jose";
import { ADMIN_TOKEN, createBrokerBench, type BrokerBench } from "../testing/broker-bench.ts";
import { at, exchange, listAt, opened, textAt } from "../testing/token-form.ts";

let bench: BrokerBench;
beforeAll(async () => {
  bench = await createBrokerBench();
});

describe("an answer of our own APIs", () => {
  it.each([
    "/",
    "/v1",
    "/v1/tasks/",
    "/v2/tasks",
    "/token/x",
    "/../etc/passwd",
    "/%2e%2e/x",
    "/v1/%00",
  ])("to the unknown path %s is a problem with 404", async (path) => {
    const answer = await bench.call("GET", path);
    expect(answer.status).toBe(404);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.body).toMatchObject({ code: "not_found", status: 404 });
  });
  it.each([
    ["POST", "/v1/tasks", "GET, HEAD"],
    ["GET", "/v1/tasks/x/complete", "POST"],
    ["POST", "/v1/backends/x", "GET, HEAD, PUT, DELETE"],
    ["POST", "/jwks", "GET, HEAD"],
    ["DELETE", "/.well-known/oauth-authorization-server", "GET, HEAD"],
    ["PATCH", "/v1/roles/a/b", "GET, HEAD, PUT, DELETE"],
  ])("to %s %s is 405 and says what the path takes", async (method, path, allow) => {
    const answer = await bench.call(method, path, { token: ADMIN_TOKEN });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, allow]);
    expect(at(answer, "code")).toBe("method_not_allowed");
    const options = await bench.call("OPTIONS", path);
    expect([options.status, options.headers.get("allow")]).toEqual([204, allow]);
  });
  it("to HEAD is that to GET without a body, also where it is refused", async () => {
    for (const path of ["/jwks", "/healthz", "/v1/tasks", "/nothing"]) {
      const get = await bench.call("GET", path);
      const head = await bench.call("HEAD", path);
      expect([head.status, head.text]).toEqual([get.status, ""]);
    }
  });
  it("says code, what, where, what to do, and a trace that the log has too", async () => {
    const answer = await bench.admin("GET", "/v1/leases?limit=none");
    const trace = textAt(answer, "trace");
    expect(answer.body).toMatchObject({
      type: "https://mayfly.test/errors/invalid_input",
      status: 422,
      code: "invalid_input",
      where: "query.limit",
      title: expect.any(String) as unknown,
      detail: expect.stringContaining("query.limit") as unknown,
      todo: expect.any(String) as unknown,
    });
    expect(answer.headers.get("mayfly-trace")).toBe(trace);
    expect(bench.log.entries.some(({ fields }) => fields["trace"] === trace)).toBe(true);
  });
  it("cannot be given a trace, a code or a status by who asks", async () => {
    const headers = { "mayfly-trace": "mine", "x-http-method-override": "DELETE" };
    const answer = await bench.call("GET", "/healthz", { headers });
    expect(answer.headers.get("mayfly-trace")).toMatch(/^[0-9a-f]{32}$/);
  });
  it("is never stored", async () => {
    for (const path of ["/v1/tasks", "/v1/backends", "/healthz", "/readyz", "/nothing"]) {
      const answer = await bench.admin("GET", path);
      expect(answer.headers.get("cache-control")).toBe("no-store");
    }
  });
  it.each([
    ["none", {}],
    ["an empty one", { authorization: "" }],
    ["another scheme", { authorization: `Basic ${Buffer.from("a:b").toString("base64")}` }],
    ["a scheme alone", { authorization: "Bearer" }],
    ["two tokens in one", { authorization: `Bearer ${ADMIN_TOKEN}, Bearer ${ADMIN_TOKEN}` }],
    ["a token with a space", { authorization: `Bearer ${ADMIN_TOKEN} x` }],
    ["a token of 17 KiB", { authorization: `Bearer ${"x".repeat(17 * 1024)}` }],
  ])("with %s as Authorization is 401 with a challenge", async (_what, headers) => {
    const answer = await bench.call("GET", "/v1/tasks", { headers });
    expect([answer.status, at(answer, "code")]).toEqual([401, "unauthenticated"]);
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer /);
    expect(answer.text).not.toContain(ADMIN_TOKEN);
  });
  it("does not take the administrator's token from the query or a cookie", async () => {
    const headers = { cookie: `access_token=${ADMIN_TOKEN}` };
    const answer = await bench.call("GET", `/v1/tasks?access_token=${ADMIN_TOKEN}`, { headers });
    expect(answer.status).toBe(401);
  });
  it.each(["task_", "task_xyz", "lease_0199", "task_%2e%2e", "%00", "'; DROP TABLE tasks--"])(
    "names an id that is none: %s",
    async (id) => {
      const answer = await bench.admin("GET", `/v1/tasks/${encodeURIComponent(id)}`);
      expect([answer.status, at(answer, "where")]).toEqual([422, "id"]);
    },
  );
});

describe("metadata", () => {
  it("is where RFC 8414 wants it and names what is offered", async () => {
    const answer = await bench.call("GET", "/.well-known/oauth-authorization-server");
    expect(answer.headers.get("cache-control")).toContain("max-age");
    expect(answer.body).toEqual({
      issuer: "https://mayfly.test",
      token_endpoint: "https://mayfly.test/token",
      jwks_uri: "https://mayfly.test/jwks",
      grant_types_supported: [
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "client_credentials",
      ],
      introspection_endpoint: "https://mayfly.test/introspect",
      revocation_endpoint: "https://mayfly.test/revoke",
      token_endpoint_auth_methods_supported: [
        "none",
        "spiffe_jwt",
        "spiffe_x509",
        "private_key_jwt",
        "tls_client_auth",
      ],
      token_endpoint_auth_signing_alg_values_supported: expect.arrayContaining([
        "ES256",
      ]) as unknown,
      introspection_endpoint_auth_methods_supported: [
        "spiffe_jwt",
        "spiffe_x509",
        "private_key_jwt",
        "tls_client_auth",
        "Bearer",
        "DPoP",
      ],
      introspection_endpoint_auth_signing_alg_values_supported: expect.arrayContaining([
        "ES256",
      ]) as unknown,
      revocation_endpoint_auth_methods_supported: [
        "none",
        "spiffe_jwt",
        "spiffe_x509",
        "private_key_jwt",
        "tls_client_auth",
        "Bearer",
        "DPoP",
      ],
      revocation_endpoint_auth_signing_alg_values_supported: expect.arrayContaining([
        "ES256",
      ]) as unknown,
      dpop_signing_alg_values_supported: ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"],
      tls_client_certificate_bound_access_tokens: false,
      authorization_details_types_supported: ["mayfly-task"],
      response_types_supported: [],
      service_documentation: "https://mayfly.test/docs",
    });
    const other = await bench.call("GET", "/.well-known/oauth-authorization-server/other");
    expect(other.status).toBe(404);
  });
  it("of an issuer with a path stands before that path, and the endpoints below it", async () => {
    const issuer = "https://acme.test/mayfly/eu";
    const own = await createBrokerBench({ issuer });
    const get = async (path: string) => own.app.request(`https://acme.test${path}`);
    const found = await get("/.well-known/oauth-authorization-server/mayfly/eu");
    expect(await found.json()).toMatchObject({
      issuer,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
    });
    expect((await get("/.well-known/oauth-authorization-server")).status).toBe(404);
    // Below the path, and without it for a proxy that takes it off.
    for (const path of ["/mayfly/eu/jwks", "/jwks"]) expect((await get(path)).status).toBe(200);
    expect((await get("/mayfly/eux/jwks")).status).toBe(404);
    expect(opened(await exchange(own, own.identities.svid("bot"))).leases).toHaveLength(1);
    const refused = await own.call("GET", "/token");
    expect([refused.status, at(refused, "error")]).toEqual([405, "invalid_request"]);
  });
  it("does not follow the Host header", async () => {
    const headers = { host: "evil.test", "x-forwarded-host": "evil.test", forwarded: "host=evil" };
    const answer = await bench.call("GET", "/.well-known/oauth-authorization-server", { headers });
    expect(answer.text).not.toContain("evil");
  });
  it("has the key that signs, public members alone; the next one is shown before it signs", async () => {
    const own = await createBrokerBench();
    const kids = async (): Promise<readonly string[]> => {
      const keys = await own.call("GET", "/jwks");
      for (const key of listAt(keys, "keys")) {
        expect(key).toMatchObject({ kty: "EC", crv: "P-256" });
        for (const name of ["d", "p", "q", "k"]) expect(key).not.toHaveProperty(name);
      }
      return listAt(keys, "keys").map((_, n) => textAt(keys, "keys", n, "kid"));
    };
    const signer = async (): Promise<string | undefined> => {
      const task = opened(await exchange(own, own.identities.svid("bot")));
      expect((await own.call("GET", `/v1/tasks/${task.id}`, { token: task.token })).status).toBe(
        200,
      );
      const header = decodeProtectedHeader(task.token);
      expect(header).toMatchObject({ alg: "ES256", typ: "at+jwt" });
      return header.kid;
    };
    const [first] = await kids();
    expect(await signer()).toBe(first);
    const day = 86_400_000;
    await own.clock.advance(30 * day - 3_500_000);
    await own.rotateKeys();
    const both = await kids();
    expect(both).toHaveLength(2);
    await own.ledger.sweep.recordSweep(null);
    await own.ledger.sweep.recordSweep(own.backendId);
    expect(await signer()).toBe(first);
    await own.clock.advance(3_700_000);
    await own.rotateKeys();
    expect(await signer()).toBe(both.find((kid) => kid !== first));
    await own.clock.advance(day);
    await own.rotateKeys();
    expect(await kids()).not.toContain(first);
  });
});

describe("health", () => {
  it("is told to anybody, and tells nothing else", async () => {
    expect((await bench.call("GET", "/healthz")).body).toEqual({ status: "ok" });
    expect((await bench.call("GET", "/readyz")).body).toEqual({ status: "ready" });
  });
});
