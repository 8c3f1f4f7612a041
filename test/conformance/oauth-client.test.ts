import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import * as oauth from "oauth4webapi";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "@mayfly/embedded";
import {
  READER,
  startInstallation,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";

/** A client by somebody else, which knows of us only what the standards say: no line of ours. */
let mayfly: Installation;
let broker: RunningBroker;
let issuer: string;
beforeAll(async () => {
  const port = await freePort();
  issuer = `http://127.0.0.1:${port}/eu`;
  mayfly = await startInstallation({ settings: { MAYFLY_ISSUER: issuer } });
  broker = await mayfly.startBroker({ MAYFLY_LISTEN: `127.0.0.1:${port}` });
  await mayfly.startWorker();
  await mayfly.register(broker);
});
afterAll(() => mayfly[Symbol.asyncDispose]());

const insecure = { [oauth.allowInsecureRequests]: true } as const;
const client: oauth.Client = { client_id: "invoice-bot" };
const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";

/** RFC 8414 discovery: the client builds the address from the issuer, path and all. */
async function discover(): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer);
  const response = await oauth.discoveryRequest(url, { algorithm: "oauth2", ...insecure });
  return oauth.processDiscoveryResponse(url, response);
}

const svid = (agent: string): string =>
  mayfly.trust.token({
    claims: { sub: `spiffe://${mayfly.trust.trustDomain}/agent/${agent}`, aud: [issuer] },
  });

const exchange = async (
  as: oauth.AuthorizationServer,
  subject: string,
  details: unknown,
): Promise<Response> =>
  oauth.genericTokenEndpointRequest(
    as,
    client,
    oauth.None(),
    GRANT,
    {
      subject_token: subject,
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      authorization_details: JSON.stringify([details]),
    },
    insecure,
  );

const TASK = {
  type: "mayfly-task",
  goal: "Reconcile the October invoices",
  deadline: "5m",
  credentials: [{ role: READER }],
};

test("a client that knows the standards alone finds the broker and exchanges a token", async () => {
  const as = await discover();
  expect(as.grant_types_supported).toContain(GRANT);
  expect(as["authorization_details_types_supported"]).toEqual(["mayfly-task"]);
  const response = await exchange(as, svid("invoice-bot"), TASK);
  const result = await oauth.processGenericTokenEndpointResponse(as, client, response);
  expect(result).toMatchObject({
    token_type: "bearer",
    issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
    authorization_details: [{ type: "mayfly-task", goal: TASK.goal, deadline: 300 }],
    credentials: [{ role: READER, kind: "postgres-password", revocation: "immediate" }],
  });
  expect(result.expires_in).toBeLessThanOrEqual(300);
  expect(result.expires_in).toBeGreaterThan(290);
});

test("what it gets is an RFC 9068 access token that the published keys verify", async () => {
  const as = await discover();
  const response = await exchange(as, svid("invoice-bot"), TASK);
  const result = await oauth.processGenericTokenEndpointResponse(as, client, response);
  const keys = (await (await fetch(as.jwks_uri ?? "")).json()) as JSONWebKeySet;
  const { payload, protectedHeader } = await jwtVerify(
    result.access_token,
    createLocalJWKSet(keys),
    { issuer, audience: issuer, typ: "at+jwt", requiredClaims: ["jti", "iat", "exp", "client_id"] },
  );
  expect(protectedHeader.alg).toBe("ES256");
  expect(payload.sub).toBe("spiffe://system.test/agent/invoice-bot");
});

test("a refusal is one that it understands, with the members of ours beside it", async () => {
  const as = await discover();
  const mallory = await exchange(as, svid("mallory"), TASK);
  const refusal = await oauth
    .processGenericTokenEndpointResponse(as, client, mallory)
    .catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(oauth.ResponseBodyError);
  expect(refusal).toMatchObject({
    status: 400,
    error: "access_denied",
    cause: { determining_policies: ["mallory-gets-nothing"], code: "denied" },
  });
  const unknown = await exchange(as, svid("invoice-bot"), { ...TASK, type: "payment" });
  await expect(
    oauth.processGenericTokenEndpointResponse(as, client, unknown),
  ).rejects.toMatchObject({ error: "invalid_authorization_details" });
  const expired = await exchange(
    as,
    mayfly.trust.token({ claims: { aud: [issuer], exp: 1 } }),
    TASK,
  );
  await expect(
    oauth.processGenericTokenEndpointResponse(as, client, expired),
  ).rejects.toMatchObject({ error: "invalid_request" });
});

test("nothing is left of it when its tasks are killed", async () => {
  const listed = await broker.api.admin("GET", "/v1/tasks?state=active");
  const { items } = listed.body as { readonly items: readonly { readonly id: string }[] };
  expect(items.length).toBeGreaterThan(0);
  for (const { id } of items) {
    await broker.api.admin("POST", `/v1/tasks/${id}/kill`, { wait: "20s" });
  }
  await mayfly.assertNothingLeaks(broker);
});
