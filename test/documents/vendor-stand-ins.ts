import { generateKeyPairSync } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, request, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import Provider, { type KoaContextWithOIDC } from "oidc-provider";
import { systemClock } from "@mayfly/host";
import { createTestX509Authority, vendorClaims } from "@mayfly/testkit";
import { answerAsCloud } from "./cloud-endpoints.ts";

/**
 * What stands in for a vendor where its steps are typed: an OpenID provider that is a real one,
 * with the claims, the paths and the variables that the vendor documents.
 */
export interface VendorStandIns extends AsyncDisposable {
  /** As they are at the vendor's: where its issuer is, and what a job or a pod is given. */
  readonly env: Readonly<Record<string, string>>;
  /** Where the keys are of whose issuer has one address in the world, by its trust root's name. */
  readonly keys: Readonly<Record<"google" | "aws" | "entra", string>>;
  /** A token of the cluster's, as the projected volume holds it, and the cluster's issuer. */
  readonly podToken: string;
  readonly clusterIssuer: string;
  /** PEM: the authority of the certificate that they serve with. */
  readonly ca: string;
  /** PEM, of that authority: for whoever else serves HTTPS on 127.0.0.1. */
  readonly served: { readonly cert: string; readonly key: string };
}

const CLIENT = "biller";
const SECRET = "biller-secret";
const RUNNER_TOKEN = "a-runners-token";
const REALM = "/realms/pay";
const REALM_TOKEN = "/protocol/openid-connect/token";
const TOKEN_SECONDS = 1800;
const ACCESS_KEY_ID = "AKIAPAGEPAGEPAGEPAGE";
const APPLICATION = "88888888-2222-3333-4444-555555555555";
const OBJECT = "66666666-2222-3333-4444-555555555555";
const YEARS = { from: Date.UTC(2020), until: Date.UTC(2100) };

export async function startVendorStandIns(audience: string): Promise<VendorStandIns> {
  const authority = createTestX509Authority({ clock: systemClock, change: YEARS });
  const names = [{ iPAddress: "127.0.0.1" }];
  const served = authority.issue({ ...YEARS, names }).pem;
  const server = createServer({ ...served });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const now = Math.floor(Date.now() / 1000);
  const { keycloak, github_actions: github, gitlab, kubernetes, ...others } = vendorClaims(now);
  const field = { ...others.spire_oidc, sub: "spiffe://field.test/pay/biller" };
  const entra = { ...others.entra, sub: OBJECT, oid: OBJECT, aud: APPLICATION };
  const alice = { sub: "alice" };
  const mounts = new Map([
    [REALM, providerAt(`${origin}${REALM}`, audience, keycloak, REALM_TOKEN)],
    ["/github", providerAt(`${origin}/github`, audience, github)],
    ["/gitlab", providerAt(`${origin}/gitlab`, audience, gitlab)],
    ["/cluster", providerAt(`${origin}/cluster`, audience, kubernetes)],
    ["/people", providerAt(`${origin}/people`, audience, alice)],
    ["/field", providerAt(`${origin}/field`, audience, field)],
    ["/google", providerAt(`${origin}/google`, audience, others.gcp, "/token", others.gcp.iss)],
    ["/aws", providerAt(`${origin}/aws`, audience, others.aws, "/token", others.aws.iss)],
    ["/entra", providerAt(`${origin}/entra`, audience, entra, "/token", entra.iss)],
  ]);
  const mint = (mount: string): Promise<string> =>
    tokenOf(`${origin}${mount}/token`, authority.pem);
  const cloud = {
    audience,
    application: APPLICATION,
    accessKeyId: ACCESS_KEY_ID,
    mint: (name: "google" | "aws" | "entra") => mint(`/${name}`),
  };
  server.on("request", (request, response) => {
    const answered = request.url?.startsWith("/id-token?")
      ? idToken(request, response, () => mint("/github"))
      : (answerAsCloud(request, response, cloud) ?? delegate(request, response, mounts));
    answered.catch(() => response.destroy());
  });
  return {
    env: {
      KEYCLOAK: origin,
      CLIENT_ID: CLIENT,
      CLIENT_SECRET: SECRET,
      GITHUB_ISSUER: `${origin}/github`,
      ACTIONS_ID_TOKEN_REQUEST_URL: `${origin}/id-token?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: RUNNER_TOKEN,
      GITLAB: `${origin}/gitlab`,
      BROKER_TOKEN: await mint("/gitlab"),
      SPIRE_ISSUER: `${origin}/field`,
      FIELD_SVID: await mint("/field"),
      PEOPLE_ISSUER: `${origin}/people`,
      PERSON_TOKEN: await mint("/people"),
      GOOGLE_METADATA: origin,
      AZURE_METADATA: origin,
      AWS_ENDPOINT_URL_STS: `${origin}/sts`,
      AWS_ACCESS_KEY_ID: ACCESS_KEY_ID,
      AWS_SECRET_ACCESS_KEY: SECRET,
      AWS_DEFAULT_REGION: "eu-central-1",
    },
    keys: {
      google: `${origin}/google/jwks`,
      aws: `${origin}/aws/jwks`,
      entra: `${origin}/entra/jwks`,
    },
    podToken: await mint("/cluster"),
    clusterIssuer: `${origin}/cluster`,
    ca: authority.pem,
    served,
    [Symbol.asyncDispose]: () => closed(server),
  };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function delegate(
  request: IncomingMessage,
  response: ServerResponse,
  mounts: ReadonlyMap<string, Provider>,
): Promise<void> {
  const path = request.url ?? "/";
  const [mount, provider] = [...mounts].find(([each]) => path.startsWith(`${each}/`)) ?? [];
  if (mount === undefined || provider === undefined) {
    response.writeHead(404).end();
    return;
  }
  Object.assign(request, { originalUrl: path, url: path.slice(mount.length) });
  await provider.callback()(request, response);
}

/** What a job of GitHub's asks for its token, with the token of its runner. */
async function idToken(
  request: IncomingMessage,
  response: ServerResponse,
  mint: () => Promise<string>,
): Promise<void> {
  if (request.headers.authorization !== `bearer ${RUNNER_TOKEN}`) {
    response.writeHead(401).end();
    return;
  }
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ count: 1, value: await mint() }));
}

function tokenOf(url: string, ca: string): Promise<string> {
  const headers = {
    "content-type": "application/x-www-form-urlencoded",
    authorization: `Basic ${btoa(`${CLIENT}:${SECRET}`)}`,
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", ca, headers }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => {
        const text = Buffer.concat(pieces).toString();
        const { access_token: token } = JSON.parse(text) as { readonly access_token?: string };
        if (token === undefined) reject(new Error(`${url}: ${text}`));
        else resolve(token);
      });
    });
    sent.on("error", reject);
    sent.end("grant_type=client_credentials");
  });
}

function providerAt(
  issuer: string,
  audience: string,
  claims: Readonly<Record<string, unknown>>,
  token = "/token",
  vendor?: string,
): Provider {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const kid = "vendor-1";
  const key = { ...privateKey.export({ format: "jwk" }), kty: "RSA", kid, alg: "RS256" };
  return new Provider(issuer, {
    jwks: { keys: [{ ...key, use: "sig" }] },
    routes: { token },
    clients: [
      {
        client_id: CLIENT,
        client_secret: SECRET,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    formats: {
      customizers: {
        jwt: (_context: KoaContextWithOIDC, _token, jwt) => {
          const { iss, jti } = jwt.payload;
          Object.assign(jwt.payload, claims, { iss: vendor ?? iss, jti });
          jwt.header = { ...jwt.header, typ: "JWT" };
        },
      },
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope: "",
          audience,
          accessTokenTTL: TOKEN_SECONDS,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256", kid } },
        }),
      },
    },
  });
}
