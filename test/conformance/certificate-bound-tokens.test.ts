import type { X509Certificate } from "node:crypto";
import { createServer, request as httpsRequest, type Server } from "node:https";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { TLSSocket } from "node:tls";
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as oauth from "oauth4webapi";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { createTestX509Authority, type TestX509Authority } from "@mayfly/testkit";
import {
  accepted,
  at,
  startInstallation,
  textAt,
  TRUST_DOMAIN,
  type Installation,
  type Reply,
  type RunningBroker,
} from "../harness/index.ts";

/**
 * RFC 8705 section 3, over real connections: the broker takes the certificate from its own TLS, and
 * an API that is not ours takes it from its. What decides is `x5t#S256` of the token and of the
 * connection, and nothing that a client says.
 */
const AUDIENCE = "https://orders.system.test";
const ROLE = "orders-api/caller";
const HOUR_MS = 3_600_000;

let mayfly: Installation;
let plain: RunningBroker;
let encrypted: URL;
let authority: TestX509Authority;
let folder: string;
let api: Server;
beforeAll(async () => {
  mayfly = await startInstallation();
  plain = await mayfly.startBroker();
  await mayfly.startWorker();
  await mayfly.register(plain);
  authority = createTestX509Authority({ clock: systemClock, trustDomain: TRUST_DOMAIN });
  const put = async (path: string, body: unknown): Promise<void> =>
    accepted(await plain.api.admin("PUT", path, body), path);
  const { keys } = mayfly.trust.bundle() as { readonly keys: readonly unknown[] };
  const bundle = { keys: [...keys, authority.bundleKey()] };
  const config = { trust_domain: TRUST_DOMAIN, bundle };
  await put(`/v1/trust/${TRUST_DOMAIN}`, { kind: "spiffe", config });
  await put("/v1/backends/orders-api", { type: "jwt", config: { audiences: [AUDIENCE] } });
  await put(`/v1/roles/${ROLE}`, {
    audience: AUDIENCE,
    scope: ["orders:read"],
    key_binding: "required",
    data_class: "internal",
    reversibility: "reversible",
    environment: "test",
  });
  folder = await mkdtemp(join(tmpdir(), "mayfly-bound-"));
  encrypted = await startEncrypted();
  api = await startApi();
});
afterAll(async () => {
  api?.close();
  await mayfly?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** A second broker over the same ledger, which serves HTTPS and binds tokens to certificates. */
async function startEncrypted(): Promise<URL> {
  const { pem } = authority.issue({ until: systemClock.now() + HOUR_MS });
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await writeFile(cert, pem.cert, { mode: 0o600 });
  await writeFile(key, pem.key, { mode: 0o600 });
  const broker = await mayfly.startBroker({
    MAYFLY_TLS_CERT_FILE: cert,
    MAYFLY_TLS_KEY_FILE: key,
    MAYFLY_CERTIFICATE_BOUND_TOKENS: "true",
    MAYFLY_DPOP_NONCES: "true",
  });
  return new URL(`https://${new URL(broker.api.url).host}`);
}

/** An API: verifies the token by the published keys, and its key by the connection. */
async function startApi(): Promise<Server> {
  const { pem } = authority.issue({ until: systemClock.now() + HOUR_MS });
  const keys = createRemoteJWKSet(new URL(`${plain.api.url}/backends/orders-api/jwks`));
  const server = createServer(
    { ...pem, ca: authority.pem, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
      const { socket } = request;
      const shown = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
      jwtVerify(token, keys, {
        typ: "at+jwt",
        issuer: `${mayfly.issuer}/backends/orders-api`,
        audience: AUDIENCE,
      }).then(
        ({ payload: { cnf } }) => {
          const bound: unknown = Reflect.get(Object(cnf), "x5t#S256");
          const isBound = shown !== undefined && bound === thumbprintOf(shown);
          response.writeHead(isBound ? 200 : 401).end();
        },
        () => response.writeHead(400).end(),
      );
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const thumbprintOf = ({ fingerprint256 }: X509Certificate): string =>
  Buffer.from(fingerprint256.replaceAll(":", ""), "hex").toString("base64url");

type Sent = oauth.CustomFetchOptions<"GET" | "POST", URLSearchParams | undefined>;
/**
 * The requests of a client that is not ours, over connections with the agent's certificate: what is
 * addressed to the issuer goes to the address that it has here.
 */
const over = (by: Agent) => ({
  [oauth.customFetch]: (url: string, { method, headers, body }: Sent): Promise<Response> =>
    new Promise((resolve, reject) => {
      const to = new URL(url.replace(mayfly.issuer, encrypted.origin));
      const tls = { ...by.pem, ca: authority.pem, checkServerIdentity: () => undefined };
      const request = httpsRequest(to, { method, headers, agent: false, ...tls }, (response) => {
        text(response).then((answer) => {
          const sent = Object.entries(response.headersDistinct).flatMap(([name, values = []]) =>
            values.map((value): [string, string] => [name, value]),
          );
          resolve(new Response(answer, { status: response.statusCode ?? 0, headers: sent }));
        }, reject);
      });
      request.on("error", reject);
      request.end(body?.toString());
    }),
});

interface Agent {
  readonly id: string;
  readonly pem: { readonly cert: string; readonly key: string };
}
const agent = (name: string): Agent => {
  const id = `spiffe://${TRUST_DOMAIN}/agent/${name}`;
  const names = [{ uniformResourceIdentifier: id }];
  return { id, pem: authority.issue({ names, until: systemClock.now() + HOUR_MS }).pem };
};

/** One request on a connection of its own, with the agent's certificate or without any. */
function send(
  to: URL,
  by: Agent | null,
  headers: Readonly<Record<string, string>>,
  body?: string,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? "GET" : "POST";
    const tls = { ca: authority.pem, checkServerIdentity: () => undefined };
    const shown = by === null ? {} : by.pem;
    const options = { method, headers, agent: false, ...tls, ...shown } as const;
    const request = httpsRequest(to, options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          body: text === "" ? null : (JSON.parse(text) as unknown),
        } as Reply),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}
const FORM = { "content-type": "application/x-www-form-urlencoded" };
const post = (path: string, by: Agent | null, form: Readonly<Record<string, string>>) =>
  send(new URL(path, encrypted), by, FORM, new URLSearchParams(form).toString());
const call = (by: Agent | null, token: string): Promise<Reply> => {
  const { port } = api.address() as AddressInfo;
  return send(new URL(`https://127.0.0.1:${port}/orders`), by, {
    authorization: `Bearer ${token}`,
  });
};
const openTask = (by: Agent): Promise<Reply> =>
  post("/token", by, {
    grant_type: "client_credentials",
    client_id: by.id,
    authorization_details: JSON.stringify([
      { type: "mayfly-task", goal: "Read", deadline: "5m", credentials: [{ role: ROLE }] },
    ]),
  });
const tokenIn = (reply: Reply): string => textAt(reply, "credentials", 0, "data", "access_token");

describe("an access token that is bound to a certificate", () => {
  test("counts at an API over mTLS with that certificate, and with no other one or none", async () => {
    const [bee, wasp] = [agent("bee"), agent("wasp")];
    const reply = await openTask(bee);
    expect(reply.status, JSON.stringify(reply.body)).toBe(200);
    expect(textAt(reply, "credentials", 0, "data", "token_type")).toBe("Bearer");
    const token = tokenIn(reply);
    expect((await call(bee, token)).status).toBe(200);
    expect((await call(wasp, token)).status).toBe(401);
    expect((await call(null, token)).status).toBe(401);
    // Of the same workload, of the same authority, under another key: it is another certificate.
    expect((await call(agent("bee"), token)).status).toBe(401);
  });

  test("is none where the connection showed no certificate, and nothing was minted", async () => {
    const subject = mayfly.svid("bee");
    const refused = await post("/token", null, {
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: subject,
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      authorization_details: JSON.stringify([
        { type: "mayfly-task", goal: "Read", deadline: "5m", credentials: [{ role: ROLE }] },
      ]),
    });
    expect([refused.status, at(refused, "error")]).toEqual([400, "invalid_authorization_details"]);
  });

  test("ends by its holder over a connection with its certificate, and by nobody else", async () => {
    const [bee, wasp] = [agent("bee"), agent("wasp")];
    const token = tokenIn(await openTask(bee));
    const isActive = async (): Promise<unknown> =>
      at(await post("/introspect", bee, { token, client_id: bee.id }), "active");
    expect(await isActive()).toBe(true);
    for (const other of [null, wasp]) {
      const refused = await post("/revoke", other, { token });
      expect([refused.status, at(refused, "error")]).toEqual([401, "invalid_client"]);
    }
    expect(await isActive()).toBe(true);
    expect((await post("/revoke", bee, { token })).status).toBe(200);
    expect(await isActive()).toBe(false);
    // RFC 7662: who does not ask takes it until it has expired.
    expect((await call(bee, token)).status).toBe(200);
  });

  test("comes with a task token that is bound to it as well", async () => {
    const [bee, wasp] = [agent("bee"), agent("wasp")];
    const reply = await openTask(bee);
    const beat = (by: Agent | null): Promise<Reply> => {
      const path = `/v1/tasks/${textAt(reply, "task", "id")}/heartbeat`;
      const authorization = `Bearer ${textAt(reply, "access_token")}`;
      const headers = { authorization, "content-type": "application/json" };
      return send(new URL(path, encrypted), by, headers, "{}");
    };
    expect((await beat(wasp)).status).toBe(401);
    expect((await beat(null)).status).toBe(401);
    expect((await beat(bee)).status).toBe(200);
  });
});

describe("a client of somebody else's that authenticates itself by its certificate", () => {
  const DETAILS = JSON.stringify([
    { type: "mayfly-task", goal: "Read", deadline: "5m", credentials: [] },
  ]);
  type Options = oauth.TokenEndpointRequestOptions;
  const discovered = async (by: Agent): Promise<oauth.AuthorizationServer> => {
    const url = new URL(mayfly.issuer);
    const response = await oauth.discoveryRequest(url, { algorithm: "oauth2", ...over(by) });
    return oauth.processDiscoveryResponse(url, response);
  };
  const asItself = async (as: oauth.AuthorizationServer, by: Agent, options: Options) => {
    const client = { client_id: by.id };
    const response = await oauth.clientCredentialsGrantRequest(
      as,
      client,
      oauth.TlsClientAuth(),
      { authorization_details: DETAILS },
      { ...over(by), ...options },
    );
    return oauth.processClientCredentialsResponse(as, client, response);
  };
  const exchanged = async (as: oauth.AuthorizationServer, by: Agent, options: Options) => {
    const client = { client_id: by.id };
    const response = await oauth.genericTokenEndpointRequest(
      as,
      client,
      oauth.TlsClientAuth(),
      "urn:ietf:params:oauth:grant-type:token-exchange",
      {
        subject_token: mayfly.svid("bee"),
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        authorization_details: DETAILS,
      },
      { ...over(by), ...options },
    );
    return oauth.processGenericTokenEndpointResponse(as, client, response);
  };

  test.each([
    { grant: "client_credentials", send: asItself, binding: "bearer" },
    { grant: "client_credentials", send: asItself, binding: "dpop" },
    { grant: "token exchange", send: exchanged, binding: "bearer" },
    { grant: "token exchange", send: exchanged, binding: "dpop" },
  ] as const)(
    "gets by $grant as $binding what it may introspect and revoke",
    async ({ send, binding }) => {
      const bee = agent("bee");
      const as = await discovered(bee);
      expect(as.token_endpoint_auth_methods_supported).toContain("spiffe_x509");
      expect(as["tls_client_certificate_bound_access_tokens"]).toBe(true);
      const key = binding === "dpop" ? await oauth.generateKeyPair("ES256") : null;
      const options: Options = key === null ? {} : { DPoP: oauth.DPoP({}, key) };
      let challenges = 0;
      const granted = await send(as, bee, options).catch((error: unknown) => {
        if (!oauth.isDPoPNonceError(error)) throw error;
        challenges += 1;
        return send(as, bee, options);
      });
      expect([granted.token_type, challenges]).toEqual([binding, key === null ? 0 : 1]);
      const client = { client_id: bee.id };
      const auth = oauth.TlsClientAuth();
      const token = granted.access_token;
      const seen = async (): Promise<oauth.IntrospectionResponse> =>
        oauth.processIntrospectionResponse(
          as,
          client,
          await oauth.introspectionRequest(as, client, auth, token, over(bee)),
        );
      const { active, sub, cnf } = await seen();
      expect([active, sub]).toEqual([true, bee.id]);
      expect(Object.keys(cnf ?? {})).toEqual([key === null ? "x5t#S256" : "jkt"]);
      const revoked = await oauth.revocationRequest(as, client, auth, token, over(bee));
      await oauth.processRevocationResponse(revoked);
      expect((await seen()).active).toBe(false);
    },
  );
});
