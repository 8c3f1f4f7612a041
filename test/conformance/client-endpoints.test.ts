import * as oauth from "oauth4webapi";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "@mayfly/embedded";
import { createTestSigningKey, signCompact } from "@mayfly/testkit";
import {
  accepted,
  READER,
  startInstallation,
  type Installation,
  type RunningBroker,
} from "../harness/index.ts";

/** Each grant, introspection and revocation as a client of somebody else's sends them. */
let mayfly: Installation;
let broker: RunningBroker;
let issuer: string;
beforeAll(async () => {
  const port = await freePort();
  issuer = `http://127.0.0.1:${port}/eu`;
  mayfly = await startInstallation({ settings: { MAYFLY_ISSUER: issuer } });
  const own = { MAYFLY_DPOP_NONCES: "true", MAYFLY_LISTEN: `127.0.0.1:${port}` };
  broker = await mayfly.startBroker(own);
  await mayfly.startWorker();
  await mayfly.register(broker);
  await registerOthers();
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

const BATCH = "https://batch.system.test";
const PEOPLE = "https://people.system.test";
const people = createTestSigningKey("people-1");
let batchKeys: Awaited<ReturnType<typeof oauth.generateKeyPair>>;
/** A client with a key of its own (RFC 7523), and people on whose behalf agents act. */
async function registerOthers(): Promise<void> {
  batchKeys = await oauth.generateKeyPair("ES256");
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", batchKeys.publicKey);
  const batch = { kty, crv, x, y, kid: "batch-1", alg: "ES256", use: "sig" };
  const trust = async (name: string, config: Readonly<Record<string, unknown>>): Promise<void> => {
    const body = { kind: "oidc", config: { algorithms: ["ES256"], ...config } };
    accepted(await broker.api.admin("PUT", `/v1/trust/${name}`, body), name);
  };
  const one = { client: true, one_time_tokens: true, jwks: { keys: [batch] } };
  await trust("batch", { issuer: BATCH, ...one });
  const many = { initiators: true, jwks: { keys: [people.publicJwk] } };
  await trust("people", { issuer: PEOPLE, ...many });
}
function alice(): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: PEOPLE, sub: "alice", aud: issuer, iat: now, exp: now + 300 };
  return signCompact(people, { alg: "ES256", kid: people.kid }, claims);
}

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

/** As the client says: again once, where the broker asked for a nonce. */
const withNonce = <T>(send: () => Promise<T>): Promise<T> =>
  send().catch((error: unknown) => {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return send();
  });

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
  const bound = await withNonce(() => opened(as, "invoice-bot", { DPoP }));
  expect(bound.token_type).toBe("dpop");
});

/** Who the task is of, and how it authenticates itself: anew each time. */
interface Owner {
  readonly id: string;
  readonly auth: () => oauth.ClientAuth;
}
const bot = (): Owner => ({
  id: idOf("invoice-bot"),
  auth: () => spiffeJwt(svid("invoice-bot")),
});
const batch = (): Owner => ({
  id: BATCH,
  auth: () => oauth.PrivateKeyJwt({ key: batchKeys.privateKey, kid: "batch-1" }),
});

/** No credential: what is looked at is who asks, and what the token is bound to. */
const NOTHING = JSON.stringify([
  { type: "mayfly-task", goal: "Close the books", deadline: "5m", credentials: [] },
]);
const JWT = "urn:ietf:params:oauth:token-type:jwt";
type Parameters = Readonly<Record<string, string>>;
type Options = oauth.TokenEndpointRequestOptions;

async function exchanged(
  as: oauth.AuthorizationServer,
  by: Owner | null,
  parameters: Parameters,
  options: Options,
): Promise<oauth.TokenEndpointResponse> {
  const client = { client_id: by?.id ?? "anybody" };
  const response = await oauth.genericTokenEndpointRequest(
    as,
    client,
    by?.auth() ?? oauth.None(),
    "urn:ietf:params:oauth:grant-type:token-exchange",
    { authorization_details: NOTHING, ...parameters },
    { ...insecure, ...options },
  );
  return oauth.processGenericTokenEndpointResponse(as, client, response);
}

async function asItself(
  as: oauth.AuthorizationServer,
  { id, auth }: Owner,
  options: Options,
): Promise<oauth.TokenEndpointResponse> {
  const client = { client_id: id };
  const parameters = { authorization_details: NOTHING };
  const sent = { ...insecure, ...options };
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth(), parameters, sent);
  return oauth.processClientCredentialsResponse(as, client, response);
}

interface Grant {
  readonly name: string;
  readonly owner: () => Owner;
  /** Whom the token is about: its owner, unless it says somebody else. */
  readonly subject?: string;
  send(as: oauth.AuthorizationServer, options: Options): Promise<oauth.TokenEndpointResponse>;
}
const forAlice = (): Parameters => ({ subject_token: alice(), subject_token_type: JWT });
const ofBot = (): Parameters => ({ subject_token: svid("invoice-bot"), subject_token_type: JWT });
const ALICE = `${PEOPLE}#alice`;
const GRANTS: readonly Grant[] = [
  {
    name: "token exchange",
    owner: bot,
    send: (as, options) => exchanged(as, null, ofBot(), options),
  },
  {
    name: "token exchange with an actor_token",
    owner: bot,
    subject: ALICE,
    send: (as, options) => {
      const actor = { actor_token: svid("invoice-bot"), actor_token_type: JWT };
      return exchanged(as, null, { ...forAlice(), ...actor }, options);
    },
  },
  {
    name: "token exchange by a client with spiffe_jwt",
    owner: bot,
    subject: ALICE,
    send: (as, options) => exchanged(as, bot(), forAlice(), options),
  },
  {
    name: "token exchange by a client with private_key_jwt",
    owner: batch,
    subject: ALICE,
    send: (as, options) => exchanged(as, batch(), forAlice(), options),
  },
  {
    name: "token exchange of a task token",
    owner: bot,
    send: async (as, options) => {
      const open = await exchanged(as, null, ofBot(), options);
      const { task } = open as unknown as { readonly task: { readonly id: string } };
      const parameters = {
        subject_token: open.access_token,
        subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
        authorization_details: JSON.stringify([{ type: "mayfly-task", task: task.id }]),
      };
      return exchanged(as, null, parameters, options);
    },
  },
  {
    name: "client_credentials with spiffe_jwt",
    owner: bot,
    send: (as, options) => asItself(as, bot(), options),
  },
  {
    name: "client_credentials with private_key_jwt",
    owner: batch,
    send: (as, options) => asItself(as, batch(), options),
  },
];

/** The token at our own API, as its server would verify it if it were not ours. */
async function used(
  as: oauth.AuthorizationServer,
  granted: oauth.TokenEndpointResponse,
  options: Options,
): Promise<{ readonly claims: oauth.JWTAccessTokenClaims; readonly state: unknown }> {
  const { task } = granted as unknown as { readonly task: { readonly id: string } };
  const sent: Request[] = [];
  const url = new URL(`${issuer}/v1/tasks/${task.id}`);
  const token = granted.access_token;
  const response = await oauth.protectedResourceRequest(token, "GET", url, new Headers(), null, {
    ...insecure,
    ...options,
    [oauth.customFetch]: async (to, { method, headers }) => {
      sent.push(new Request(to, { method, headers }));
      return fetch(to, { method, headers });
    },
  });
  const [request] = sent;
  if (request === undefined) throw new Error("the client sent nothing");
  const { state } = (await response.json()) as { readonly state: unknown };
  return { claims: await oauth.validateJwtAccessToken(as, request, issuer, insecure), state };
}

test.each(
  GRANTS.flatMap((grant) =>
    (["bearer", "dpop"] as const).map((binding) => ({ ...grant, grant, binding })),
  ),
)(
  "$name as $binding: the token is used, verified, introspected, and revoked",
  async ({ grant, binding }) => {
    const as = await discover();
    const key = binding === "dpop" ? await oauth.generateKeyPair("ES256") : null;
    const options: Options = key === null ? {} : { DPoP: oauth.DPoP({}, key) };
    let challenges = 0;
    const granted = await grant.send(as, options).catch((error: unknown) => {
      if (!oauth.isDPoPNonceError(error)) throw error;
      challenges += 1;
      return grant.send(as, options);
    });
    expect([granted.token_type, challenges]).toEqual([binding, key === null ? 0 : 1]);
    const { id, auth } = grant.owner();
    const { claims, state } = await used(as, granted, options);
    expect(state).toBe("active");
    const owner = id === BATCH ? `${BATCH}#${BATCH}` : id;
    const about = grant.subject ?? owner;
    expect([claims.sub, claims.client_id]).toEqual([about, id]);
    expect(claims["act"]).toEqual(grant.subject === undefined ? undefined : { sub: owner });
    expect(claims.cnf?.jkt === undefined).toBe(key === null);
    const client = { client_id: id };
    const token = granted.access_token;
    const seen = async (): Promise<oauth.IntrospectionResponse> =>
      oauth.processIntrospectionResponse(
        as,
        client,
        await oauth.introspectionRequest(as, client, auth(), token, insecure),
      );
    expect(await seen()).toMatchObject({ active: true, sub: about, iss: issuer });
    const revoked = await oauth.revocationRequest(as, client, auth(), token, insecure);
    await oauth.processRevocationResponse(revoked);
    expect(await seen()).toEqual({ active: false });
  },
);

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
