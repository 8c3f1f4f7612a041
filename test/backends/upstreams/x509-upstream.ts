import { once } from "node:events";
import tls from "node:tls";
import type { AddressInfo } from "node:net";
import { testCertificate } from "../../../services/broker/src/testing/test-certificate.ts";
import { textIn, type CredentialData, type Upstream, type Verdict } from "./upstream.ts";

/** A TLS server that fetches the authority's list before each handshake, and says what it found. */
export const x509Upstream: Upstream = {
  type: "x509",
  server: null,
  outcome: "revoked",
  refusedBy: "a TLS server that fetches the list for each handshake (`crl_seconds: 10`)",
  register: async ({ broker, put }) => {
    const config = {
      domains: ["acme.test"],
      crl_seconds: 10,
      connection_seconds_max: 0,
      leeway_seconds: 0,
    };
    await put("x509", { type: "x509", config }, { uris: ["spiffe://acme.test/orders-agent"] });
    const own = testCertificate();
    const published = async (name: string): Promise<string> => {
      const answer = await fetch(`${broker.api.url}/backends/x509/authority/${name}`);
      if (!answer.ok) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
      return answer.text();
    };
    const server = tls.createServer({ ...own, requestCert: true, rejectUnauthorized: false });
    server.on("secureConnection", (socket) => {
      socket.on("error", () => undefined);
      socket.end(socket.authorized ? "authorized" : String(socket.authorizationError));
    });
    server.on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const follow = async (): Promise<void> => {
      const [ca, crl] = [await published("ca.pem"), await published("crl.pem")];
      server.setSecureContext({ ...own, ca, crl });
    };
    const tryCredential = async (data: CredentialData): Promise<Verdict> => {
      await follow();
      return shakeHands(port, data);
    };
    return {
      version: `OpenSSL ${process.versions.openssl}`,
      tryCredential,
      openSession: null,
      live: async (issued) => {
        await follow();
        let live = 0;
        for (const data of issued) if ((await shakeHands(port, data)) !== "refused") live++;
        return live;
      },
      ownLogin: null,
      stop: async () => {
        server.close();
      },
    };
  },
};

async function shakeHands(port: number, data: CredentialData): Promise<Verdict> {
  const pair = { cert: textIn(data, "certificate"), key: textIn(data, "private_key") };
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...pair });
  let said = "";
  for await (const part of socket) said += String(part);
  if (said === "authorized") return "accepted";
  if (said === "CERT_REVOKED" || said === "CERT_HAS_EXPIRED") return "refused";
  throw new Error(`the server said "${said}"`);
}
