import * as oauth from "oauth4webapi";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "@mayfly/embedded";
import {
  READER,
  startInstallation,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";

/** Grants, introspection and revocation as a client of somebody else's sends them. */
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
const idOf = (agent: string): string => `spiffe://${mayfly.trust.trustDomain}/agent/${agent}`;
const svid = (agent: string): string =>
  mayfly.trust.token({ claims: { sub: idOf(agent), aud: [issuer] } });
const DETAILS = JSON.stringify([
  {
    type: "mayfly-task",
    goal: "Reconcile the October invoices",
    deadline: "5m",
    credentials: [{ role: READER }],
  },
]);

/** draft-ietf-oauth-spiffe-client-auth, which the client does not know: its hook for others. */
const spiffeJwt =
  (assertion: string): oauth.ClientAuth =>
  (_as, { client_id }, body) => {
    body.set("client_id", client_id);
    body.set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe");
    body.set("client_assertion", assertion);
  };

async function discover(): Promise<oauth.AuthorizationServer> {
  const url = new URL(issuer);
  const response = await oauth.discoveryRequest(url, { algorithm: "oauth2", ...insecure });
  return oauth.processDiscoveryResponse(url, response);
}

async function opened(
  as: oauth.AuthorizationServer,
  agent: string,
  options: oauth.ClientCredentialsGrantRequestOptions = {},
): Promise<oauth.TokenEndpointResponse> {
  const client = { client_id: idOf(agent) };
  const response = await oauth.clientCredentialsGrantRequest(
    as,
    client,
    spiffeJwt(svid(agent)),
    { authorization_details: DETAILS },
    { ...insecure, ...options },
  );
  return oauth.processClientCredentialsResponse(as, client, response);
}

const introspected = async (
  as: oauth.AuthorizationServer,
  agent: string,
  token: string,
): Promise<oauth.IntrospectionResponse> => {
  const client = { client_id: idOf(agent) };
  const auth = spiffeJwt(svid(agent));
  const response = await oauth.introspectionRequest(as, client, auth, token, insecure);
  return oauth.processIntrospectionResponse(as, client, response);
};

test("an agent acts as itself by client credentials, with and without DPoP", async () => {
  const as = await discover();
  expect(as.grant_types_supported).toContain("client_credentials");
  expect(as.token_endpoint_auth_methods_supported).toContain("spiffe_jwt");
  const bearer = await opened(as, "invoice-bot");
  expect(bearer).toMatchObject({
    token_type: "bearer",
    issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
    credentials: [{ role: READER }],
  });
  const DPoP = oauth.DPoP({}, await oauth.generateKeyPair("EdDSA"));
  expect((await opened(as, "invoice-bot", { DPoP })).token_type).toBe("dpop");
});

test("a client that is not who it says is refused as OAuth says", async () => {
  const as = await discover();
  const client = { client_id: idOf("invoice-bot") };
  const response = await oauth.clientCredentialsGrantRequest(
    as,
    client,
    spiffeJwt(svid("mallory")),
    { authorization_details: DETAILS },
    insecure,
  );
  await expect(oauth.processClientCredentialsResponse(as, client, response)).rejects.toMatchObject({
    error: "invalid_client",
    status: 401,
  });
});

test("introspection answers the workload, and nobody else; revocation ends the task", async () => {
  const as = await discover();
  const { access_token: token } = await opened(as, "invoice-bot");
  const seen = await introspected(as, "invoice-bot", token);
  expect(seen).toMatchObject({ active: true, sub: idOf("invoice-bot"), iss: issuer });
  expect(await introspected(as, "mallory", token)).toEqual({ active: false });
  const revoke = async (agent: string): Promise<void> => {
    const client = { client_id: idOf(agent) };
    const auth = spiffeJwt(svid(agent));
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, auth, token, insecure),
    );
  };
  await revoke("mallory");
  expect((await introspected(as, "invoice-bot", token)).active).toBe(true);
  await revoke("invoice-bot");
  expect(await introspected(as, "invoice-bot", token)).toEqual({ active: false });
});

test("a client finds the authorization server from a resource that refuses it", async () => {
  const refused = await fetch(`${issuer}/v1/tasks`);
  const [, url = ""] =
    /resource_metadata="([^"]+)"/.exec(refused.headers.get("www-authenticate") ?? "") ?? [];
  expect(url).toBe(`${new URL(issuer).origin}/.well-known/oauth-protected-resource/eu`);
  const resource = new URL(issuer);
  const response = await oauth.resourceDiscoveryRequest(resource, insecure);
  const metadata = await oauth.processResourceDiscoveryResponse(resource, response);
  expect(metadata.authorization_servers).toEqual([issuer]);
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
