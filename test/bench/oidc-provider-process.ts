/**
 * The npm package `oidc-provider` as a rival of the row `token-only`, in a process of its own; it
 * tells its port by IPC. Its access tokens are JWTs by ES256, of which its adapter stores nothing.
 */
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Provider from "oidc-provider";

const TOKEN_SECONDS = 600;
const API = "https://api.bench.test";

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });

const provider = new Provider("https://oidc.bench.test", {
  jwks: { keys: [{ ...key, kty: "EC", kid: "bench", alg: "ES256", use: "sig" }] },
  clients: [
    {
      client_id: "bench",
      client_secret: "bench-secret",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256",
      token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => API,
      getResourceServerInfo: () => ({
        scope: "",
        audience: API,
        accessTokenTTL: TOKEN_SECONDS,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256", kid: "bench" } },
      }),
    },
  },
});
// It stands behind nothing here, and takes the issuer's scheme from who says that it is a proxy.
provider.proxy = true;

const handle = provider.callback();
const server = createServer((request, response) => {
  handle(request, response).catch(() => response.destroy());
});
server.listen(0, "127.0.0.1", () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
process.on("disconnect", () => process.exit(0));
