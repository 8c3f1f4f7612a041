import * as oauth from "oauth4webapi";
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "@mayfly/embedded";
import {
  accepted,
  at,
  BRIEF_ISSUE,
  listAt,
  startInstallation,
  textAt,
  TRUST_DOMAIN,
  until,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";
import { dies, theLease, theSettled } from "../crash/scene.ts";

/**
 * Access tokens of the type `jwt`, between real processes over a real PostgreSQL, verified by
 * libraries that are not ours as any API would.
 */
let mayfly: Installation;
let broker: RunningBroker;
let issuer: string;
beforeAll(async () => {
  const port = await freePort();
  issuer = `http://127.0.0.1:${port}`;
  mayfly = await startInstallation({ settings: { MAYFLY_ISSUER: issuer } });
  broker = await mayfly.startBroker({ MAYFLY_LISTEN: `127.0.0.1:${port}` });
  await mayfly.startWorker();
  await mayfly.register(broker);
  const put = async (path: string, body: unknown): Promise<void> =>
    accepted(await broker.api.admin("PUT", path, body), path);
  const config = { audiences: [AUDIENCE], verifier_leeway_seconds: LEEWAY_SECONDS };
  await put("/v1/backends/orders-api", { type: "jwt", config });
  await put("/v1/resource-servers/orders", {
    identities: [{ spiffe_id: `spiffe://${TRUST_DOMAIN}/agent/orders-server` }],
    audiences: [AUDIENCE],
  });
  const role = { data_class: "internal", reversibility: "reversible", environment: "test" };
  await put("/v1/roles/orders-api/caller", {
    ...role,
    audience: AUDIENCE,
    scope: ["orders:read", "orders:write"],
    ttl_max: "5m",
  });
});
afterAll(() => mayfly[Symbol.asyncDispose]());

const AUDIENCE = "https://orders.system.test";
const LEEWAY_SECONDS = 1;
const SETTLE_MS_MAX = 120_000;
const insecure = { [oauth.allowInsecureRequests]: true } as const;

/** `aud` is the issuer of this file's broker, which is not the harness's usual one. */
const svid = (agent: string): string =>
  mayfly.trust.token({
    claims: { sub: `spiffe://${mayfly.trust.trustDomain}/agent/${agent}`, aud: [issuer] },
  });
const taskFor = (ref: string, ttl = "5m", key_binding?: "required"): unknown => ({
  type: "mayfly-task",
  goal: "Reconcile the October invoices",
  ref,
  deadline: "10m",
  credentials: [
    { role: "orders-api/caller", ttl, params: { scope: ["orders:read"], key_binding } },
  ],
});
const open = (ref: string, ttl?: string): Promise<Reply> =>
  broker.api.exchange({ subject: svid("invoice-bot"), details: taskFor(ref, ttl) });
const tokenIn = (reply: Reply): string => textAt(reply, "credentials", 0, "data", "access_token");

const introspected = async (token: string): Promise<unknown> => {
  const response = await fetch(`${issuer}/introspect`, {
    method: "POST",
    headers: { authorization: `Bearer ${svid("orders-server")}` },
    body: new URLSearchParams({ token }),
  });
  return response.json();
};

/** What an API learns by itself from the issuer that it was configured with. */
async function discover(): Promise<oauth.AuthorizationServer> {
  const url = new URL(`${issuer}/backends/orders-api`);
  const response = await oauth.discoveryRequest(url, { algorithm: "oauth2", ...insecure });
  return oauth.processDiscoveryResponse(url, response);
}
const verifyOffline = async (token: string): Promise<unknown> => {
  const { jwks_uri } = await discover();
  const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(jwks_uri ?? "")), {
    typ: "at+jwt",
    issuer: `${issuer}/backends/orders-api`,
    audience: AUDIENCE,
    clockTolerance: LEEWAY_SECONDS,
  });
  return payload;
};

describe("an access token", () => {
  test("is accepted by independent verifiers of RFC 9068, and says what was granted", async () => {
    const token = tokenIn(await open("accepted"));
    const as = await discover();
    const request = new Request("https://orders.system.test/orders", {
      headers: { authorization: `Bearer ${token}` },
    });
    const claims = await oauth.validateJwtAccessToken(as, request, AUDIENCE, insecure);
    expect(claims).toMatchObject({
      sub: `spiffe://${TRUST_DOMAIN}/agent/invoice-bot`,
      scope: "orders:read",
    });
    expect(await verifyOffline(token)).toEqual(claims);
    expect(await introspected(token)).toEqual({ ...claims, active: true, token_type: "Bearer" });
    const elsewhere = oauth.validateJwtAccessToken(as, request, "https://other.test", insecure);
    await expect(elsewhere).rejects.toThrow(/aud/);
  });

  test("that is bound to a client's own DPoP key counts with its proof alone", async () => {
    const client: oauth.Client = { client_id: "invoice-bot" };
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
    const url = new URL(issuer);
    const metadata = await oauth.discoveryRequest(url, { algorithm: "oauth2", ...insecure });
    const response = await oauth.genericTokenEndpointRequest(
      await oauth.processDiscoveryResponse(url, metadata),
      client,
      oauth.None(),
      "urn:ietf:params:oauth:grant-type:token-exchange",
      {
        subject_token: svid("invoice-bot"),
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        authorization_details: JSON.stringify([taskFor("bound", "5m", "required")]),
      },
      { ...insecure, DPoP },
    );
    const reply = { status: response.status, body: await response.json() };
    const token = textAt(reply, "credentials", 0, "data", "access_token");
    expect(textAt(reply, "credentials", 0, "data", "token_type")).toBe("DPoP");
    const sent: Request[] = [];
    const address = new URL("https://orders.system.test/orders");
    await oauth.protectedResourceRequest(token, "GET", address, new Headers(), null, {
      DPoP,
      [oauth.customFetch]: async (to, { method, headers }) => {
        sent.push(new Request(to, { method, headers }));
        return Response.json({});
      },
    });
    const [request] = sent;
    const as = await discover();
    const bound = { ...insecure, requireDPoP: true } as const;
    const claims = await oauth.validateJwtAccessToken(as, request!, AUDIENCE, bound);
    expect(claims.cnf?.jkt).toMatch(/^[\w-]{43}$/);
    const copied = new Request(address, { headers: { authorization: `Bearer ${token}` } });
    await expect(oauth.validateJwtAccessToken(as, copied, AUDIENCE, insecure)).rejects.toThrow(
      /DPoP/i,
    );
  });

  test("of a task that completed is inactive at once, propagates until T, and then expired", async () => {
    const reply = await open("completed", "8s");
    const token = tokenIn(reply);
    expect(at({ status: 200, body: await introspected(token) }, "active")).toBe(true);
    const path = `/v1/tasks/${textAt(reply, "task", "id")}/complete`;
    accepted(await broker.api.call(textAt(reply, "access_token"), "POST", path, {}), path);
    expect(await introspected(token)).toEqual({ active: false });
    await expect(verifyOffline(token)).resolves.toMatchObject({ scope: "orders:read" });
    const lease = `/v1/leases/${textAt(reply, "credentials", 0, "lease")}`;
    const diesAt = ((decodeJwt(token).exp ?? 0) + LEEWAY_SECONDS) * 1000;
    const waiting = await until("the worker to look at it", SETTLE_MS_MAX, async () => {
      const seen = await broker.api.admin("GET", lease);
      return at(seen, "exposure", "reason") === "propagating" && seen;
    });
    expect(at(waiting, "state")).toBe("ending");
    expect(at(waiting, "exposure")).toEqual({
      kind: "until",
      until: new Date(diesAt).toISOString(),
      reason: "propagating",
    });
    const { outcome } = await theSettled(mayfly, "completed");
    expect(outcome).toBe("expired");
    const ended = await broker.api.admin("GET", lease);
    expect(at(ended, "looked")).toMatchObject({
      introspection: "inactive",
      without_introspection: "expired",
    });
    await expect(verifyOffline(token)).rejects.toThrow(/exp/);
  });

  test("stays good over a rotation of the keys, and is nowhere once its key leaked", async () => {
    const second = await mayfly.startBroker();
    const keys = "/v1/backends/orders-api/signing-keys";
    const token = tokenIn(await open("rotated"));
    const kid = decodeProtectedHeader(token).kid ?? "";
    const publishedAt = async ({ api }: RunningBroker): Promise<readonly unknown[]> => {
      const answer = await api.call("none", "GET", "/backends/orders-api/jwks");
      return listAt(answer, "keys").map((_, n) => textAt(answer, "keys", n, "kid"));
    };
    const both = (count: number, without: string | null): Promise<unknown> =>
      until("both brokers to publish the same", SETTLE_MS_MAX, async () => {
        const [here, there] = [await publishedAt(broker), await publishedAt(second)];
        return (
          here.length === count && !here.includes(without) && here.join() === there.join() && here
        );
      });
    const rotated = await broker.api.admin("POST", `${keys}/rotate`, {});
    expect(at(rotated, "result")).toBe("added");
    expect(await both(2, null)).toEqual([kid, at(rotated, "kid")]);
    await expect(verifyOffline(token)).resolves.toMatchObject({ scope: "orders:read" });
    expect(at({ status: 200, body: await introspected(token) }, "active")).toBe(true);
    const retired = await second.api.admin("POST", `${keys}/${kid}/retire`, {});
    await both(1, kid);
    await expect(verifyOffline(token)).rejects.toThrow(/key/);
    expect(await introspected(token)).toEqual({ active: false });
    const next = tokenIn(await open("after the leak"));
    expect(decodeProtectedHeader(next).kid).toBe(at(retired, "replaced_by"));
    await expect(verifyOffline(next)).resolves.toMatchObject({ scope: "orders:read" });
    const kinds = await mayfly.ledger<{ kind: string; kid: string }[]>`
      SELECT kind, data->>'kid' AS kid FROM mayfly.events
      WHERE data->>'backendId' = 'orders-api' AND kind = 'signing_key.retired'`;
    expect(kinds.map((event) => event.kid)).toContain(kid);
  });
});

describe.concurrent("a broker killed while it issues an access token", () => {
  test.each([
    // Before the token was signed, after it was, and once the lease is active.
    { point: "reserve.after", state: "reserved" },
    { point: "issue.after", state: "reserved" },
    { point: "activate.after", state: "active" },
  ])(
    "at $point leaves a lease that ends as expired, and nobody holds a token",
    async ({ point, state }) => {
      const ref = `killed-at-${point}`;
      const doomed = await mayfly.startBroker({
        ...BRIEF_ISSUE,
        MAYFLY_UNSAFE_FAIL_POINT: `${point}=kill`,
      });
      const details = {
        ...(taskFor(ref, "6s") as Readonly<Record<string, unknown>>),
        idle_timeout: "30s",
      };
      await dies(doomed, doomed.api.exchange({ subject: svid("invoice-bot"), details }));
      expect((await theLease(mayfly, ref)).state).toBe(state);
      expect((await theSettled(mayfly, ref)).outcome).toBe("expired");
    },
  );
});
