import { decodeProtectedHeader } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { createTestDpopKey } from "@mayfly/testkit";
import { ADMIN_TOKEN, ISSUER, type BrokerBench } from "../testing/broker-bench.ts";
import {
  accessTokenIn,
  AUDIENCE,
  BOUND,
  CALLER,
  CONFIG,
  createTokenBench,
  LEEWAY_SECONDS,
  openWithToken,
  OTHER_AUDIENCE,
  READ,
  TOKEN_ISSUER,
  verifyAsApi,
} from "../testing/token-api.ts";
import {
  at,
  exchange,
  exchangeTaskToken,
  listAt,
  opened,
  postToken,
  readerTask,
  textAt,
  tokenForm,
  TYPE,
} from "../testing/token-form.ts";

const BOT = "spiffe://acme.test/agent/bot";

let bench: BrokerBench;
beforeEach(async () => {
  bench = await createTokenBench();
});

const lease = () => bench.ledger.inspect.leases().at(-1)!;
const pass = () => bench.core.runPass(lease().backendId, bench.context());
const kidOf = (token: string): string => decodeProtectedHeader(token).kid ?? "";
const publishedKids = async (): Promise<readonly unknown[]> => {
  const answer = await bench.call("GET", "/backends/orders-api/jwks");
  return listAt(answer, "keys").map((_, n) => textAt(answer, "keys", n, "kid"));
};

describe("an access token", () => {
  it("is accepted by a verifier that knows nothing but the published keys", async () => {
    const answer = await openWithToken(bench);
    const { id } = opened(answer);
    const token = accessTokenIn(answer);
    const payload = await verifyAsApi(bench, token);
    expect(payload).toEqual({
      iss: TOKEN_ISSUER,
      sub: BOT,
      client_id: BOT,
      aud: AUDIENCE,
      scope: "orders:read",
      groups: ["agents"],
      iat: Math.floor(bench.clock.now() / 1000),
      exp: Math.floor(bench.clock.now() / 1000) + 600,
      jti: lease().plan.externalName,
      mayfly_task: id,
    });
    expect(at(answer, "credentials", 0)).toMatchObject({
      kind: "jwt-access-token",
      revocation: "propagating",
      expiry_enforced_by: "upstream",
      data: { token_type: "Bearer", scope: "orders:read", audience: [AUDIENCE] },
    });
    const { kid, ...header } = decodeProtectedHeader(token);
    expect(header).toEqual({ alg: "ES256", typ: "at+jwt" });
    expect(await publishedKids()).toEqual([kid]);
  });
  it("is for the audience that was asked for, and for no other", async () => {
    const token = accessTokenIn(await openWithToken(bench));
    await expect(verifyAsApi(bench, token, OTHER_AUDIENCE)).rejects.toThrow(/aud/);
  });
  it("has the role's audiences and scopes where nothing narrower is asked for", async () => {
    const payload = await verifyAsApi(
      bench,
      accessTokenIn(await openWithToken(bench, { params: {} })),
    );
    expect(payload).toMatchObject({
      aud: [AUDIENCE, OTHER_AUDIENCE],
      scope: "orders:read orders:write",
    });
  });
  it("is judged by policy as what it would say", async () => {
    const denied = await openWithToken(bench, { agent: "reader", params: {} });
    expect([at(denied, "error"), at(denied, "determining_policies")]).toEqual([
      "access_denied",
      ["the-reader-only-reads"],
    ]);
    const permitted = await openWithToken(bench, { agent: "reader" });
    expect(await verifyAsApi(bench, accessTokenIn(permitted))).toMatchObject({
      scope: "orders:read",
    });
  });
  it("beyond the role is refused by name, before anything is reserved", async () => {
    for (const [params, where] of [
      [{ scope: ["orders:delete"] }, "scope"],
      [{ audience: "https://elsewhere.test" }, "audience"],
      [{ audience: ISSUER }, "audience"],
      [{ ...READ, sub: "root" }, "sub"],
    ] as const) {
      const answer = await openWithToken(bench, { params });
      expect([answer.status, at(answer, "error")]).toEqual([400, "invalid_authorization_details"]);
      expect(answer.text).toContain(`params.${where}`);
    }
    expect(bench.ledger.inspect.leases()).toEqual([]);
  });
  it("of a child task lies within what its parent declared, and names the chain", async () => {
    const parent = opened(await openWithToken(bench));
    const child = (params: object) =>
      exchangeTaskToken(bench, parent.token, {
        details: readerTask({
          parent: parent.id,
          deadline: "5m",
          credentials: [{ role: CALLER, params }],
        }),
        actor: bench.identities.svid("helper"),
      });
    const wider = await child({ audience: AUDIENCE, scope: ["orders:read", "orders:write"] });
    expect([wider.status, at(wider, "error")]).toEqual([400, "invalid_authorization_details"]);
    const payload = await verifyAsApi(bench, accessTokenIn(await child(READ)));
    expect(payload).toMatchObject({
      sub: BOT,
      client_id: "spiffe://acme.test/agent/helper",
      act: { sub: "spiffe://acme.test/agent/helper" },
    });
  });
  it("for somebody else has that one as subject, and who acts as actor", async () => {
    const answer = await exchange(bench, bench.identities.oidc("alice"), {
      actor: bench.identities.svid("bot"),
      details: readerTask({ credentials: [{ role: CALLER, params: READ }] }),
    });
    const payload = await verifyAsApi(bench, accessTokenIn(answer));
    expect(payload).toMatchObject({
      sub: "https://login.acme.test#alice",
      client_id: BOT,
      act: { sub: BOT },
    });
  });
  it("is in the reply and nowhere else", async () => {
    const token = accessTokenIn(await openWithToken(bench));
    const [, , signature = ""] = token.split(".");
    const kept = JSON.stringify([
      bench.ledger.inspect.leases(),
      bench.ledger.inspect.events(),
      bench.ledger.inspect.tasks(),
      bench.log.entries,
    ]);
    expect(kept).not.toContain(signature);
    expect(lease().fingerprint).toMatch(/^[0-9a-f]+$/);
  });
});

describe("an access token bound to a key", () => {
  it("has the key of the exchange's proof as its confirmation, and is sent as DPoP", async () => {
    const key = createTestDpopKey(bench.clock);
    const headers = { dpop: key.proof("POST", `${ISSUER}/token`) };
    const answer = await openWithToken(bench, { role: BOUND, params: {}, headers });
    const payload = await verifyAsApi(bench, accessTokenIn(answer));
    expect(payload).toMatchObject({ cnf: { jkt: key.thumbprint } });
    expect(textAt(answer, "credentials", 0, "data", "token_type")).toBe("DPoP");
    expect(lease().plan.grant).toMatchObject({ key_binding: "dpop" });
  });
  it("is refused without a proof before anything is reserved or minted", async () => {
    const answer = await openWithToken(bench, { role: BOUND, params: {} });
    expect([answer.status, at(answer, "error")]).toEqual([400, "invalid_authorization_details"]);
    expect(answer.text).toContain("bound to a key");
    expect(bench.ledger.inspect.leases()).toEqual([]);
    expect(bench.ledger.inspect.tasks()).toEqual([]);
  });
  it("may be asked for where the role does not require it", async () => {
    const params = { ...READ, key_binding: "required" };
    const bearer = await openWithToken(bench, { params });
    expect(bearer.text).toContain("bound to a key");
    const key = createTestDpopKey(bench.clock);
    const proof = () => ({ dpop: key.proof("POST", `${ISSUER}/token`) });
    const unasked = await openWithToken(bench, { headers: proof() });
    expect(await verifyAsApi(bench, accessTokenIn(unasked))).not.toHaveProperty("cnf");
    const bound = await openWithToken(bench, { params, headers: proof() });
    expect(await verifyAsApi(bench, accessTokenIn(bound))).toMatchObject({
      cnf: { jkt: key.thumbprint },
    });
  });
});

describe("the end of an access token", () => {
  it("propagates until it has expired for every verifier, and then is expired", async () => {
    const answer = await openWithToken(bench);
    const token = accessTokenIn(answer);
    const { expiresAt } = lease();
    const diesAt = expiresAt + LEEWAY_SECONDS * 1000;
    await bench.admin("POST", `/v1/tasks/${opened(answer).id}/kill`, {});
    await pass();
    expect(lease()).toMatchObject({
      state: "ending",
      exposure: { kind: "until", until: diesAt, reason: "propagating" },
    });
    // The truth of it: an API that asks nobody still accepts the token.
    await expect(verifyAsApi(bench, token)).resolves.toMatchObject({ sub: BOT });
    await bench.clock.advance(diesAt - bench.clock.now());
    await expect(verifyAsApi(bench, token)).rejects.toThrow(/exp/);
    await pass();
    expect(lease().state).toBe("ending");
    await bench.clock.advance(2_100);
    await pass();
    expect(lease()).toMatchObject({
      state: "ended",
      outcome: "expired",
      exposure: { kind: "none" },
      looked: { introspection: "inactive", without_introspection: "expired" },
    });
  });
  it("that comes by itself is recorded as expired too", async () => {
    await openWithToken(bench, { change: { deadline: "1h", idle_timeout: "1h" } });
    await bench.clock.advance(lease().expiresAt - bench.clock.now() + (LEEWAY_SECONDS + 3) * 1000);
    await pass();
    expect(lease()).toMatchObject({ state: "ended", outcome: "expired" });
  });
});

describe("signing keys of a backend", () => {
  it("are there before the first token, cached, and of the backend alone", async () => {
    const answer = await bench.call("GET", "/backends/orders-api/jwks");
    expect(answer.headers.get("cache-control")).toBe("public, max-age=300");
    expect(listAt(answer, "keys")).toHaveLength(1);
    expect(answer.text).not.toContain('"d"');
    const ofTaskTokens = await bench.call("GET", "/jwks");
    expect(textAt(ofTaskTokens, "keys", 0, "kid")).not.toBe(textAt(answer, "keys", 0, "kid"));
  });
  it("rotate under living tokens: published an hour ahead, verified until the last one died", async () => {
    const long = { change: { deadline: "20m", idle_timeout: "20m" } };
    const [first] = await publishedKids();
    await bench.clock.advance((30 * 86_400 - 3_600) * 1000);
    await bench.core.rotateBackendKeys();
    const [, second] = await publishedKids();
    expect(await publishedKids()).toEqual([first, second]);
    await bench.clock.advance(3_599_000);
    await bench.ledger.sweep.recordSweep(null);
    const last = accessTokenIn(await openWithToken(bench, long));
    expect(kidOf(last)).toBe(first);
    await bench.clock.advance(2_000);
    const next = accessTokenIn(await openWithToken(bench, long));
    expect(kidOf(next)).toBe(second);
    await bench.clock.advance(590_000);
    await expect(verifyAsApi(bench, last)).resolves.toMatchObject({ sub: BOT });
    await expect(verifyAsApi(bench, next)).resolves.toMatchObject({ sub: BOT });
    await bench.clock.advance(1_200_000);
    expect(await publishedKids()).toEqual([second]);
  });
  it("are found by RFC 8414 metadata that names exactly its issuer", async () => {
    const path = "/.well-known/oauth-authorization-server/backends/orders-api";
    const answer = await bench.call("GET", path);
    expect(answer.body).toMatchObject({
      issuer: TOKEN_ISSUER,
      jwks_uri: `${TOKEN_ISSUER}/jwks`,
      introspection_endpoint: `${ISSUER}/introspect`,
    });
    expect(answer.headers.get("cache-control")).toBe("public, max-age=300");
  });
  it("of what signs nothing, or is not there, are not found, in the same words", async () => {
    const texts = [];
    for (const path of [
      "/backends/orders-db/jwks",
      "/backends/nobody/jwks",
      "/backends/NO_NAME/jwks",
      "/.well-known/oauth-authorization-server/backends/orders-db",
      "/.well-known/oauth-authorization-server/backends/nobody",
      "/.well-known/oauth-authorization-server/backends/orders-api/more",
    ]) {
      const answer = await bench.call("GET", path);
      expect([path, answer.status]).toEqual([path, 404]);
      texts.push(textAt(answer, "detail"));
    }
    expect(new Set(texts).size).toBe(1);
  });
  it("stay published while their backend is disabled", async () => {
    await bench.admin("POST", "/v1/backends/orders-api/disable", {});
    expect(await publishedKids()).toHaveLength(1);
  });
  it("that leaked are trusted no more, by introspection within seconds", async () => {
    const [leaked] = await publishedKids();
    const old = accessTokenIn(await openWithToken(bench));
    const path = "/v1/backends/orders-api/signing-keys";
    const answer = await bench.admin("POST", `${path}/${String(leaked)}/retire`, {});
    expect(answer.body).toMatchObject({ result: "retired", kid: leaked });
    await bench.clock.advance(5_000);
    expect(await publishedKids()).toEqual([textAt(answer, "replaced_by")]);
    await expect(verifyAsApi(bench, old)).rejects.toThrow(/key/);
    const introspected = await bench.call("POST", "/introspect", {
      token: ADMIN_TOKEN,
      body: new URLSearchParams({ token: old }).toString(),
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    expect(introspected.body).toEqual({ active: false });
    const next = accessTokenIn(await openWithToken(bench));
    expect(kidOf(next)).toBe(textAt(answer, "replaced_by"));
    const listed = await bench.admin("GET", path);
    expect(listAt(listed, "items").map((_, n) => textAt(listed, "items", n, "state"))).toEqual([
      "signs",
      "retired",
    ]);
  });
  it("are published before they are due where an administrator says so", async () => {
    const path = "/v1/backends/orders-api/signing-keys/rotate";
    const answer = await bench.admin("POST", path, {});
    await bench.clock.advance(5_000);
    expect(await publishedKids()).toContain(textAt(answer, "kid"));
    expect(kidOf(accessTokenIn(await openWithToken(bench)))).not.toBe(textAt(answer, "kid"));
    expect(at(await bench.admin("POST", path, {}), "result")).toBe("already");
  });
  it("are the bootstrap administrator's to see and change, and of no backend that has none", async () => {
    const path = "/v1/backends/orders-api/signing-keys";
    const agent = await bench.call("GET", path, { token: bench.identities.svid("bot") });
    expect(agent.status).toBe(403);
    const other = await bench.admin("GET", "/v1/backends/orders-db/signing-keys");
    expect(other.status).toBe(404);
  });
  it("have an issuer below the broker's path, where that has one", async () => {
    const below = await createTokenBench({ issuer: "https://mayfly.test/broker" });
    const path = "/.well-known/oauth-authorization-server/broker/backends/orders-api";
    const answer = await below.app.request(`https://mayfly.test${path}`);
    expect(await answer.json()).toMatchObject({
      issuer: "https://mayfly.test/broker/backends/orders-api",
      jwks_uri: "https://mayfly.test/broker/backends/orders-api/jwks",
    });
    const keys = await below.call("GET", "/backends/orders-api/jwks");
    expect(keys.status).toBe(200);
  });
});

describe("to the broker itself, an access token", () => {
  it("is no task token, no identity and no client's assertion", async () => {
    const token = accessTokenIn(await openWithToken(bench));
    const asTaskToken = await bench.call("GET", "/v1/tasks", { token });
    expect(asTaskToken.status).toBe(401);
    for (const type of ["access_token", "jwt"]) {
      const body = tokenForm(token, { subject_token_type: `${TYPE}${type}` });
      const answer = await postToken(bench, body);
      expect([type, answer.status]).toEqual([type, 400]);
      expect(["invalid_request", "invalid_token"]).toContain(at(answer, "error"));
    }
    const assertion = new URLSearchParams({
      token,
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: token,
    });
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const asClient = await bench.call("POST", "/introspect", {
      body: assertion.toString(),
      headers: form,
    });
    expect([asClient.status, at(asClient, "error")]).toEqual([401, "invalid_client"]);
  });
  it("cannot be addressed, however the broker's name is spelled", async () => {
    for (const audience of [
      ISSUER,
      `${ISSUER}/`,
      "HTTPS://MAYFLY.TEST",
      "https://mayfly.test:443",
      `${ISSUER}?x`,
      `${ISSUER}/#x`,
      TOKEN_ISSUER,
      `${ISSUER}/./backends/orders-api`,
    ]) {
      const config = { audiences: [...CONFIG.audiences, audience] };
      const answer = await bench.admin("PUT", "/v1/backends/orders-api", { type: "jwt", config });
      expect([audience, answer.status]).toEqual([audience, 422]);
      expect(answer.text).toContain("audience_is_the_broker");
    }
  });
  it("has no audience that its backend does not name", async () => {
    const role = {
      audience: "https://elsewhere.test",
      data_class: "internal",
      reversibility: "reversible",
      environment: "test",
    };
    const answer = await bench.admin("PUT", "/v1/roles/orders-api/other", role);
    expect(answer.text).toContain("audience_not_configured");
    const config = { audiences: [OTHER_AUDIENCE] };
    const narrowed = await bench.admin("PUT", "/v1/backends/orders-api", { type: "jwt", config });
    expect(narrowed.text).toContain("audience_not_configured");
  });
});
