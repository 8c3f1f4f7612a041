import { decodeJwt, type JWTPayload } from "jose";
import * as oauth from "oauth4webapi";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileIdentity, openTask, type Task, type TaskOptions } from "@mayfly/client";
import { freePort } from "@mayfly/embedded";
import { accepted, startInstallation, type Installation } from "../harness/index.ts";
import { writeTokenFile, type TokenFile } from "./token-file.ts";

/**
 * An access token that is bound to the task's key, presented by the SDK to an API that is not ours:
 * `oauth4webapi` looks at it and at its proof as a resource server does (RFC 9449 section 7).
 */
const AUDIENCE = "https://orders.system.test";
const ADDRESS = `${AUDIENCE}/orders?state=open#first`;
const ROLE = "orders-api/caller";
const insecure = { [oauth.allowInsecureRequests]: true } as const;

let mayfly: Installation;
let issuer: string;
let file: TokenFile;
let bot: TaskOptions;
let as: oauth.AuthorizationServer;
beforeAll(async () => {
  const port = await freePort();
  issuer = `http://127.0.0.1:${port}`;
  mayfly = await startInstallation({ settings: { MAYFLY_ISSUER: issuer } });
  const broker = await mayfly.startBroker({ MAYFLY_LISTEN: `127.0.0.1:${port}` });
  await mayfly.startWorker();
  await mayfly.register(broker);
  const put = async (path: string, body: unknown): Promise<void> =>
    accepted(await broker.api.admin("PUT", path, body), path);
  await put("/v1/backends/orders-api", { type: "jwt", config: { audiences: [AUDIENCE] } });
  await put(`/v1/roles/${ROLE}`, {
    audience: AUDIENCE,
    scope: ["orders:read"],
    key_binding: "when_proven",
    data_class: "internal",
    reversibility: "reversible",
    environment: "test",
  });
  const token = mayfly.trust.token({
    claims: { sub: `spiffe://${mayfly.trust.trustDomain}/agent/bot`, aud: [issuer] },
  });
  file = await writeTokenFile(token);
  bot = {
    url: issuer,
    goal: "Read the open orders",
    credentials: [ROLE],
    deadline: "5m",
    identity: fileIdentity(file.path),
  };
  const metadata = new URL(`${issuer}/backends/orders-api`);
  const response = await oauth.discoveryRequest(metadata, { algorithm: "oauth2", ...insecure });
  as = await oauth.processDiscoveryResponse(metadata, response);
});
afterAll(async () => {
  await file?.[Symbol.asyncDispose]();
  await mayfly?.[Symbol.asyncDispose]();
});

/** As the API sees it that serves the audience. */
const accept = (method: string, url: string, headers: Readonly<Record<string, string>>) =>
  oauth.validateJwtAccessToken(as, new Request(url, { method, headers }), AUDIENCE, insecure);
const presented = async (task: Task, method: string, nonce?: string) => {
  const token = task.credential(ROLE, "jwt-access-token");
  const request = { method, url: ADDRESS, ...(nonce === undefined ? {} : { nonce }) };
  return { ...(await task.apiHeaders(token, request)) };
};

describe("an access token that is bound to the task's key", () => {
  test("is taken by an independent resource server with the proof that the SDK makes", async () => {
    await using task = await openTask(bot);
    const token = task.credential(ROLE, "jwt-access-token");
    expect(token).toMatchObject({
      tokenType: "DPoP",
      audience: [AUDIENCE],
      scope: ["orders:read"],
    });
    expect(String(token)).toBe("[secret]");
    for (const method of ["GET", "POST", "get", "patch"]) {
      const claims = await accept(method, ADDRESS, await presented(task, method));
      expect(claims.cnf?.jkt).toMatch(/^[\w-]{43}$/);
      expect(claims).toMatchObject({ iss: token.issuer, scope: "orders:read" });
    }
  });

  test("is refused with the proof of another method, of another address or of another token", async () => {
    await using task = await openTask(bot);
    const headers = await presented(task, "GET");
    await expect(accept("GET", ADDRESS, headers)).resolves.toMatchObject({ scope: "orders:read" });
    await expect(accept("DELETE", ADDRESS, headers)).rejects.toThrow(/htm/);
    await expect(accept("GET", `${AUDIENCE}/invoices`, headers)).rejects.toThrow(/htu/);
    const second = await task.draw(ROLE, { kind: "jwt-access-token" });
    const swapped = { ...headers, authorization: `DPoP ${second.token.expose()}` };
    await expect(accept("GET", ADDRESS, swapped)).rejects.toThrow(/ath/);
    await using other = await openTask(bot);
    const mine = task.credential(ROLE, "jwt-access-token");
    const theirs = { ...(await other.apiHeaders(mine, { method: "GET", url: ADDRESS })) };
    await expect(accept("GET", ADDRESS, theirs)).rejects.toThrow(/confirmation/);
    const copied = { authorization: headers.authorization };
    await expect(accept("GET", ADDRESS, copied)).rejects.toThrow(/DPoP/i);
    const bearer = { authorization: headers.authorization.replace("DPoP", "Bearer") };
    await expect(accept("GET", ADDRESS, bearer)).rejects.toThrow(/DPoP/i);
  });

  test("bears the API's nonce, and each request a proof of its own", async () => {
    await using task = await openTask(bot);
    const [first, second] = [await presented(task, "GET", "n-1"), await presented(task, "GET")];
    const claimsIn = (proof = ""): JWTPayload => decodeJwt(proof);
    expect(claimsIn(first.dpop)).toMatchObject({ nonce: "n-1", htm: "GET" });
    expect(claimsIn(second.dpop)).not.toHaveProperty("nonce");
    expect(claimsIn(first.dpop)["jti"]).not.toBe(claimsIn(second.dpop)["jti"]);
  });

  test("is a bearer's where the task has no key, and no proof is made", async () => {
    await using task = await openTask({ ...bot, dpop: false });
    const headers = await presented(task, "GET");
    expect(Object.keys(headers)).toEqual(["authorization"]);
    await expect(accept("GET", ADDRESS, headers)).resolves.not.toHaveProperty("cnf");
    const elsewhere = await openTask(bot);
    const bound = elsewhere.credential(ROLE, "jwt-access-token");
    const refused = task.apiHeaders(bound, { method: "GET", url: ADDRESS });
    await expect(refused).rejects.toMatchObject({ code: "invalid_option", where: "dpop" });
    const nowhere = elsewhere.apiHeaders(bound, { method: "GET", url: "/orders" });
    await expect(nowhere).rejects.toMatchObject({ where: "url" });
    await elsewhere.complete();
  });
});
