import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";

/**
 * UNSAFE, for the demo and for `npm run dev`: an OIDC issuer on loopback, over http, that signs
 * whatever subject it is asked for. Discovery and key set are real; there is no login.
 */
export interface UnsafeDemoIssuer {
  readonly url: string;
  /** An OIDC token for the subject, good for five minutes. */
  token(subject: string, audience: string): Promise<string>;
  close(): Promise<void>;
}

const KID = "unsafe-demo-oidc-key";
const LIFETIME = "5m";

/** `port` 0 takes a free one. */
export async function startUnsafeDemoIssuer(port: number): Promise<UnsafeDemoIssuer> {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid: KID, use: "sig", alg: "ES256" };
  const server = createServer((request, response) => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const documents: Readonly<Record<string, unknown>> = {
      "/.well-known/openid-configuration": {
        issuer: url,
        jwks_uri: `${url}/jwks`,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["ES256"],
      },
      "/jwks": { keys: [jwk] },
    };
    const found = request.method === "GET" ? documents[request.url ?? ""] : undefined;
    response.writeHead(found === undefined ? 404 : 200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(found ?? { error: "not_found" }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    token: (subject, audience) => sign(privateKey, url, subject, audience),
    close: () => closed(server),
  };
}

const sign = (key: CryptoKey, issuer: string, subject: string, audience: string): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg: "ES256", typ: "JWT", kid: KID })
    .setIssuer(issuer)
    .setSubject(subject)
    .setAudience(audience)
    .setIssuedAt()
    .setJti(crypto.randomUUID())
    .setExpirationTime(LIFETIME)
    .sign(key);

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
