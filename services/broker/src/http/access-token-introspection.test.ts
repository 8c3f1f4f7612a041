import { beforeEach, describe, expect, it, vi } from "vitest";
import { decodeJwt } from "jose";
import { createTestDpopKey } from "@mayfly/testkit";
import { ADMIN_TOKEN, ISSUER, type Answer, type BrokerBench } from "../testing/broker-bench.ts";
import { createRegisteredClient } from "../testing/registered-client.ts";
import {
  accessTokenIn,
  AUDIENCE,
  BOUND,
  CALLER,
  createTokenBench,
  openWithToken,
  OTHER_AUDIENCE,
  READ,
  TOKEN_ISSUER,
  verifyAsApi,
} from "../testing/token-api.ts";
import {
  at,
  exchangeTaskToken,
  opened,
  postToken,
  readerTask,
  textAt,
  tokenForm,
} from "../testing/token-form.ts";

const BOT = "spiffe://acme.test/agent/bot";

let bench: BrokerBench;
beforeEach(async () => {
  bench = await createTokenBench();
});

type Headers = Readonly<Record<string, string>>;
const post = (path: string, form: Headers, headers: Headers = {}): Promise<Answer> =>
  bench.call("POST", path, {
    body: new URLSearchParams(form).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
  });
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
/** As a workload of the trust domain, by its SVID. */
const as = (agent: string): Headers => bearer(bench.identities.svid(agent));
const introspect = (token: string, headers: Headers): Promise<Answer> =>
  post("/introspect", { token }, headers);
const isActive = async (token: string): Promise<unknown> =>
  at(await introspect(token, as("orders-server")), "active");

const boundTo = async (key: ReturnType<typeof createTestDpopKey>): Promise<string> => {
  const headers = { dpop: key.proof("POST", `${ISSUER}/token`) };
  return accessTokenIn(await openWithToken(bench, { role: BOUND, params: {}, headers }));
};
const leaseState = (): string => bench.ledger.inspect.leases().at(-1)!.state;

describe("introspection of an access token", () => {
  it("tells a server of its audience what it says", async () => {
    const answer = await openWithToken(bench);
    const token = accessTokenIn(answer);
    const told = await introspect(token, as("orders-server"));
    expect(told.headers.get("cache-control")).toBe("no-store");
    expect(told.body).toEqual({
      ...(await verifyAsApi(bench, token)),
      active: true,
      token_type: "Bearer",
    });
    expect(told.body).toMatchObject({
      iss: TOKEN_ISSUER,
      sub: BOT,
      aud: AUDIENCE,
      scope: "orders:read",
    });
    expect(textAt(told, "mayfly_task")).toBe(opened(answer).id);
  });
  it("names a client with a key of its own as that names itself, in the token as well", async () => {
    const client = createRegisteredClient(bench);
    await client.register();
    const { clientId } = client;
    const change = {
      grant_type: "client_credentials",
      subject_token: null,
      subject_token_type: null,
      authorization_details: JSON.stringify([
        readerTask({ credentials: [{ role: CALLER, params: READ }] }),
      ]),
      ...client.form(),
    };
    const token = accessTokenIn(await postToken(bench, tokenForm("", change)));
    const parties = { sub: `${clientId}#${clientId}`, client_id: clientId };
    expect(await verifyAsApi(bench, token)).toMatchObject(parties);
    expect((await introspect(token, as("orders-server"))).body).toMatchObject(parties);
  });
  it("tells a server no more once it is disabled, or serves another audience", async () => {
    const token = accessTokenIn(await openWithToken(bench));
    await bench.admin("POST", "/v1/resource-servers/orders/disable", {});
    expect(await isActive(token)).toBe(false);
    await bench.admin("POST", "/v1/resource-servers/orders/enable", {});
    expect(await isActive(token)).toBe(true);
    await bench.admin("PUT", "/v1/resource-servers/orders", {
      identities: [{ spiffe_id: "spiffe://acme.test/agent/orders-server" }],
      audiences: [OTHER_AUDIENCE],
    });
    expect(await isActive(token)).toBe(false);
  });
  it("says to which key it is bound, and how it is sent", async () => {
    const key = createTestDpopKey(bench.clock);
    const told = await introspect(await boundTo(key), as("orders-server"));
    expect(told.body).toMatchObject({ token_type: "DPoP", cnf: { jkt: key.thumbprint } });
  });
  it("tells who owns the task and the bootstrap administrator", async () => {
    const answer = await openWithToken(bench);
    const token = accessTokenIn(answer);
    for (const headers of [as("bot"), bearer(opened(answer).token), bearer(ADMIN_TOKEN)]) {
      expect(at(await introspect(token, headers), "active")).toBe(true);
    }
  });
  it("tells a server of another audience, and everybody else, that it is not active", async () => {
    const token = accessTokenIn(
      await openWithToken(bench, { params: { ...READ, audience: OTHER_AUDIENCE } }),
    );
    for (const stranger of ["orders-server", "other"]) {
      const answer = await introspect(token, as(stranger));
      expect([answer.status, answer.body]).toEqual([200, { active: false }]);
    }
    const unknown = await post("/introspect", { token });
    expect(unknown.status).toBe(401);
  });
  it("says inactive as soon as its task has ended, whichever way, with no worker at all", async () => {
    for (const [path, body] of [
      ["complete", {}],
      ["fail", {}],
      ["cancel", {}],
      ["kill", {}],
    ] as const) {
      const answer = await openWithToken(bench);
      const token = accessTokenIn(answer);
      expect([path, await isActive(token)]).toEqual([path, true]);
      const ended = await bench.admin("POST", `/v1/tasks/${opened(answer).id}/${path}`, body);
      expect([path, ended.status]).toEqual([path, 200]);
      expect([path, await isActive(token)]).toEqual([path, false]);
      await expect(verifyAsApi(bench, token)).resolves.toMatchObject({ sub: BOT });
    }
  });
  it("says inactive as soon as its lease, or a task above its own, has ended", async () => {
    const first = await openWithToken(bench);
    const [lease = ""] = opened(first).leases;
    await bench.admin("POST", `/v1/leases/${lease}/end`, {});
    expect(await isActive(accessTokenIn(first))).toBe(false);
    const parent = opened(await openWithToken(bench));
    const details = readerTask({
      parent: parent.id,
      deadline: "5m",
      credentials: [{ role: CALLER, params: READ }],
    });
    const child = accessTokenIn(await exchangeTaskToken(bench, parent.token, { details }));
    expect(await isActive(child)).toBe(true);
    const [id] = bench.ledger.inspect.tasks().filter((task) => task.id === parent.id);
    await bench.ledger.tasks.requestEnd({
      taskId: id!.id,
      state: "cancelled",
      actor: { kind: "administrator", name: "alice" },
      reason: "the first of two commits alone",
    });
    expect(await isActive(child)).toBe(false);
  });
  it("says inactive once it has expired, or its task's deadline has passed", async () => {
    const token = accessTokenIn(
      await openWithToken(bench, { change: { deadline: "1h", idle_timeout: "1h" } }),
    );
    await bench.clock.advance(599_000);
    expect(await isActive(token)).toBe(true);
    await bench.clock.advance(1_000);
    expect(await isActive(token)).toBe(false);
  });
  it("says inactive of a token that is none of ours, whatever it claims to be", async () => {
    const token = accessTokenIn(await openWithToken(bench));
    const [header = "", payload = "", signature = ""] = token.split(".");
    const encode = (value: unknown): string =>
      Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { iss: TOKEN_ISSUER, aud: AUDIENCE, sub: BOT, exp: 9_999_999_999 };
    for (const forged of [
      `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
      `${header}.${encode({ ...claims, jti: "x" })}.${signature}`,
      `${encode({ alg: "none", typ: "at+jwt" })}.${encode(claims)}.`,
      `${header}.${encode({ ...claims, iss: `${ISSUER}/backends/orders-db` })}.${signature}`,
      `${header}.${encode({ ...claims, iss: `${ISSUER}/backends/../x` })}.${signature}`,
      `${header}.${encode({ ...claims, iss: { toString: 1 } })}.${signature}`,
      `${header}.${encode([1])}.${signature}`,
      "a.b.c",
    ]) {
      const answer = await introspect(forged, as("orders-server"));
      expect([forged, answer.status, answer.body]).toEqual([forged, 200, { active: false }]);
    }
  });
});

describe("revocation of an access token", () => {
  it("by its bearer ends its lease before the answer, and leaves the task", async () => {
    const answer = await openWithToken(bench);
    const token = accessTokenIn(answer);
    const revoked = await post("/revoke", { token, token_type_hint: "access_token" });
    expect([revoked.status, revoked.text]).toEqual([200, ""]);
    expect(leaseState()).toBe("ending");
    expect(await isActive(token)).toBe(false);
    expect(bench.ledger.inspect.tasks().at(-1)).toMatchObject({ state: "active" });
    const again = await post("/revoke", { token });
    expect(again.status).toBe(200);
  });
  it("of a bound one needs the key, and a proof of it counts once", async () => {
    const key = createTestDpopKey(bench.clock);
    const token = await boundTo(key);
    const other = createTestDpopKey(bench.clock);
    const proofOf = (by: typeof key): Headers => ({ dpop: by.proof("POST", `${ISSUER}/revoke`) });
    for (const headers of [{}, proofOf(other)]) {
      const refused = await post("/revoke", { token }, headers);
      expect([refused.status, at(refused, "error")]).toEqual([401, "invalid_client"]);
      expect(leaseState()).toBe("active");
    }
    const proof = proofOf(key);
    expect((await post("/revoke", { token }, proof)).status).toBe(200);
    expect(leaseState()).toBe("ending");
    const second = accessTokenIn(
      await openWithToken(bench, {
        role: BOUND,
        params: {},
        headers: { dpop: key.proof("POST", `${ISSUER}/token`) },
      }),
    );
    const replayed = await post("/revoke", { token: second }, proof);
    expect([replayed.status, at(replayed, "error")]).toEqual([400, "invalid_dpop_proof"]);
    expect(leaseState()).toBe("active");
  });
  it("ends its lease also where the key that signed it was retired, by the lease's fingerprint", async () => {
    const token = accessTokenIn(await openWithToken(bench));
    const path = "/v1/backends/orders-api/signing-keys";
    const kid = textAt(await bench.admin("GET", path), "items", 0, "kid");
    const retired = await bench.admin("POST", `${path}/${kid}/retire`, {});
    expect(at(retired, "result")).toBe("retired");
    await bench.clock.advance(10_000);
    // Whoever has the key can make tokens that look the same: these end nothing.
    const [header = "", payload = ""] = token.split(".");
    const forged = `${header}.${payload}.${"A".repeat(86)}`;
    expect((await post("/revoke", { token: forged })).status).toBe(200);
    expect(leaseState()).toBe("active");
    expect(await isActive(token)).toBe(false);
    expect((await post("/revoke", { token })).status).toBe(200);
    expect(leaseState()).toBe("ending");
  });
  it("ends its lease also where it has expired by this clock, which may be ahead of others", async () => {
    const change = { deadline: "1h", idle_timeout: "1h" };
    const token = accessTokenIn(await openWithToken(bench, { change }));
    await bench.clock.advance(600_000);
    expect(await isActive(token)).toBe(false);
    expect(leaseState()).toBe("active");
    expect((await post("/revoke", { token })).status).toBe(200);
    expect(leaseState()).toBe("ending");
  });
  it("of a backend that nobody here knows is not said to be done before the ledger was asked", async () => {
    const token = accessTokenIn(await openWithToken(bench));
    const [header = "", , signature = ""] = token.split(".");
    const of = (backend: string): string => {
      const claims = { ...decodeJwt(token), iss: `${ISSUER}/backends/${backend}` };
      const payload = Buffer.from(JSON.stringify(claims)).toString("base64url");
      return `${header}.${payload}.${signature}`;
    };
    expect((await post("/revoke", { token: of("unknown-one") })).status).toBe(200);
    const again = await post("/revoke", { token: of("unknown-two") });
    expect([again.status, again.headers.get("retry-after")]).toEqual([503, "5"]);
    await bench.clock.advance(5000);
    expect((await post("/revoke", { token: of("unknown-two") })).status).toBe(200);
    expect(leaseState()).toBe("active");
  });
  it("that is forged has no lease looked up, whatever it says of itself", async () => {
    const token = accessTokenIn(await openWithToken(bench));
    const [header = "", payload = "", signature = ""] = token.split(".");
    const encode = (value: unknown): string =>
      Buffer.from(JSON.stringify(value)).toString("base64url");
    const lookedUp = vi.spyOn(bench.ledger.tasks, "lease");
    const unknownKey = { alg: "ES256", kid: "made-up", typ: "at+jwt" };
    for (const forged of [
      `${header}.${payload}.${"A".repeat(86)}`,
      `${header}.${encode({ ...decodeJwt(token), aud: OTHER_AUDIENCE })}.${signature}`,
      `${encode(unknownKey)}.${payload}.${signature}`,
      `${encode({ alg: "none", typ: "at+jwt" })}.${payload}.`,
    ]) {
      await bench.clock.advance(1000);
      expect((await post("/revoke", { token: forged })).status).toBe(200);
    }
    expect(lookedUp).not.toHaveBeenCalled();
    expect(leaseState()).toBe("active");
    expect((await post("/revoke", { token })).status).toBe(200);
    expect(lookedUp).toHaveBeenCalled();
    expect(leaseState()).toBe("ending");
  });
  it("by its task's owner or the bootstrap administrator needs no proof of its key", async () => {
    for (const headers of [as("bot"), bearer(ADMIN_TOKEN)]) {
      const token = await boundTo(createTestDpopKey(bench.clock));
      expect((await post("/revoke", { token }, headers)).status).toBe(200);
      expect(leaseState()).toBe("ending");
    }
  });
  it("by a stranger, or by the server it is for, is answered the same and ends nothing", async () => {
    const token = accessTokenIn(await openWithToken(bench));
    for (const agent of ["other", "orders-server"]) {
      const answer = await post("/revoke", { token }, as(agent));
      expect([answer.status, answer.text]).toEqual([200, ""]);
    }
    expect(leaseState()).toBe("active");
    expect(await isActive(token)).toBe(true);
  });
});
