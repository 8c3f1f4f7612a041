import type { IncomingMessage } from "node:http";
import { createServer, request, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { generateKeyPairSync } from "node:crypto";
import Provider, { type KoaContextWithOIDC } from "oidc-provider";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "@mayfly/host";
import { createTrustRoots, defaultTrustRootsSettings } from "@mayfly/identity";
import { createOutboundHttp, type ClosableOutboundHttp } from "@mayfly/net";
import { BrokerError, parseTrustRootName, Secret, type TrustRoots } from "@mayfly/spec";
import { createRecordingLog, createTestX509Authority, vendorClaims } from "@mayfly/testkit";

/*
 * Issuers shaped like Keycloak and GitHub on a real OpenID provider, over real TLS: discovery, key
 * set and signatures are oidc-provider's, the claims are those that the vendor documents.
 */
const BROKER = "https://broker.test";
const NAME = parseTrustRootName("issuer", "name");
const vendors = vendorClaims(0);
const SHAPES = {
  "/realms/pay": { preset: "keycloak", claims: vendors.keycloak },
  "/_services/token": { preset: "github_actions", claims: vendors.github_actions },
} as const;
type Mount = keyof typeof SHAPES;
const MOUNTS = Object.keys(SHAPES) as readonly Mount[];

let server: Server;
let origin: string;
let http: ClosableOutboundHttp;
let roots: TrustRoots;

beforeAll(async () => {
  const years = { from: Date.UTC(2020), until: Date.UTC(2100) };
  const authority = createTestX509Authority({ clock: systemClock, change: years });
  const { pem } = authority.issue({ ...years, names: [{ iPAddress: "127.0.0.1" }] });
  server = createServer({ cert: pem.cert, key: pem.key });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A server that listens on a port has one.
  origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const handlers = new Map(MOUNTS.map((mount) => [mount, providerAt(mount).callback()]));
  server.on("request", (request, response) => {
    const path = request.url ?? "/";
    const mount = MOUNTS.find((each) => path.startsWith(`${each}/`));
    const handle = mount === undefined ? undefined : handlers.get(mount);
    if (mount === undefined || handle === undefined) {
      response.writeHead(404).end();
      return;
    }
    Object.assign(request, { originalUrl: path, url: path.slice(mount.length) });
    handle(request, response).catch(() => response.destroy());
  });
  http = createOutboundHttp({ ca: authority.pem });
  const settings = defaultTrustRootsSettings;
  const log = createRecordingLog();
  roots = createTrustRoots({ http, issuer: BROKER, settings, log });
});
afterAll(async () => {
  await http.close();
  server.closeAllConnections();
  server.close();
});

/** What the vendor's token says in place of what the provider's own would. */
let change: Readonly<Record<string, unknown>> = {};

function providerAt(mount: Mount): Provider {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: "jwk" }), kty: "RSA", kid: mount, alg: "RS256" };
  const { claims } = SHAPES[mount];
  const provider = new Provider(`${origin}${mount}`, {
    jwks: { keys: [{ ...key, use: "sig" }] },
    clients: [
      {
        client_id: "biller",
        client_secret: "biller-secret",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    formats: {
      customizers: {
        jwt: (_context: KoaContextWithOIDC, _token, jwt) => {
          const { iss } = jwt.payload;
          Object.assign(jwt.payload, claims, { iss }, change);
          jwt.header = { ...jwt.header, typ: "JWT" };
        },
      },
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => BROKER,
        getResourceServerInfo: () => ({
          scope: "",
          audience: BROKER,
          accessTokenTTL: 300,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256", kid: mount } },
        }),
      },
    },
  });
  return provider;
}

async function tokenOf(mount: Mount, changed: typeof change = {}): Promise<string> {
  change = changed;
  return post(`${origin}${mount}/token`);
}

function post(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method: "POST",
        // The client here is the test; whether TLS is judged is the broker's matter.
        rejectUnauthorized: false,
        headers: {
          "content-type": "application/x-www-form-urlencoded",
          authorization: `Basic ${Buffer.from("biller:biller-secret").toString("base64")}`,
        },
      },
      (response: IncomingMessage) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          const body = JSON.parse(Buffer.concat(chunks).toString()) as { access_token?: string };
          if (body.access_token === undefined) reject(new Error(JSON.stringify(body)));
          else resolve(body.access_token);
        });
      },
    );
    sent.on("error", reject);
    sent.end(new URLSearchParams({ grant_type: "client_credentials" }).toString());
  });
}

const context = () => ({
  clock: systemClock,
  signal: new AbortController().signal,
  traceId: "t",
});
function trust(mount: Mount, issuer = `${origin}${mount}`): void {
  const { preset } = SHAPES[mount];
  const config = { preset, issuer, unsafe_allow_private_addresses: true };
  roots.replace([roots.parse(NAME, "oidc", config)]);
}
async function outcome(token: string): Promise<unknown> {
  try {
    const presented = { kind: "jwt" as const, token: Secret.of(token) };
    return (await roots.verify(presented, context())).workload;
  } catch (error) {
    if (BrokerError.is(error)) return error.cause;
    throw error;
  }
}

describe("an issuer on a real OpenID provider", () => {
  test.each(MOUNTS)(
    "at %s is found, and its tokens have the preset's attributes",
    async (mount) => {
      trust(mount);
      const root = roots.parse(NAME, "oidc", {
        preset: SHAPES[mount].preset,
        issuer: `${origin}${mount}`,
        unsafe_allow_private_addresses: true,
      });
      expect(await roots.look(root, context())).toMatchObject({
        problem: null,
        keys: [{ kid: mount, algorithms: ["RS256"] }],
      });
      const seen = await outcome(await tokenOf(mount));
      expect(seen).toMatchObject({ issuer: `${origin}${mount}`, kind: "oidc" });
      const { attributes } = seen as { readonly attributes: Record<string, { value: string }> };
      expect(Object.keys(attributes).length).toBeGreaterThan(2);
    },
  );

  test("like Keycloak vouches for service accounts, and for no person and no ID token", async () => {
    const mount = "/realms/pay";
    trust(mount);
    expect(await outcome(await tokenOf(mount))).toMatchObject({
      attributes: {
        service_account_id: { value: vendors.keycloak.sub, stability: "immutable" },
        client_id: { value: "biller", stability: "mutable" },
      },
    });
    for (const changed of [{ sid: "s" }, { typ: "ID" }]) {
      expect(await outcome(await tokenOf(mount, changed))).toMatchObject({ reason: "claims" });
    }
    expect(await outcome(await tokenOf(mount, { aud: [BROKER, "account"] }))).toMatchObject({
      reason: "audience",
    });
  });

  test("like GitHub vouches for workflow runs in both forms of their subject", async () => {
    const mount = "/_services/token";
    trust(mount);
    for (const sub of [
      "repo:acme/pay:ref:refs/heads/main",
      "repo:acme@65/pay@74:ref:refs/heads/main",
    ]) {
      expect(await outcome(await tokenOf(mount, { sub, jti: sub }))).toMatchObject({
        subject: sub,
        attributes: { repository_id: { value: "74", stability: "immutable" } },
      });
    }
    const owner = await tokenOf(mount, { aud: "https://github.com/acme" });
    expect(await outcome(owner)).toMatchObject({ reason: "audience" });
  });

  test("is compared byte for byte: with a slash at its end it is another one", async () => {
    const mount = "/_services/token";
    trust(mount, `${origin}${mount}/`);
    expect(await outcome(await tokenOf(mount))).toMatchObject({ reason: "unknown_issuer" });
  });
});
