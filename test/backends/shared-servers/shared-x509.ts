import { once } from "node:events";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { testCertificate } from "../../../services/broker/src/testing/test-certificate.ts";
import { textIn, type Registrar } from "../upstreams/upstream.ts";
import type { RunningServer, SharedServer } from "./shared-server.ts";

/** A TLS server that fetches the authority's documents anew for each who comes. */
async function start(): Promise<RunningServer> {
  const config = {
    domains: ["acme.test"],
    crl_seconds: 10,
    connection_seconds_max: 0,
    leeway_seconds: 0,
  };
  const role = { uris: ["spiffe://acme.test/orders-agent"] };
  return {
    type: "x509",
    proxy: null,
    mintSends: [],
    register: ({ put }) => put("x509", { type: "x509", config }, role),
    liveNames: async () => [],
    accepts: async (data, at) => {
      const [ca, crl] = [await published(at, "ca.pem"), await published(at, "crl.pem")];
      const rules = { ...testCertificate(), ca, crl, requestCert: true, rejectUnauthorized: true };
      const server = tls.createServer(rules, (socket) => socket.end("welcome"));
      server.on("tlsClientError", () => undefined);
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      try {
        const { port } = server.address() as AddressInfo;
        return await isGreeted(port, {
          cert: textIn(data, "certificate"),
          key: textIn(data, "private_key"),
        });
      } finally {
        server.close();
      }
    },
    stop: async () => undefined,
  };
}

async function published({ broker }: Registrar, name: string): Promise<string> {
  const answer = await fetch(`${broker.api.url}/backends/x509/authority/${name}`);
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
  return answer.text();
}

async function isGreeted(port: number, pair: { cert: string; key: string }): Promise<boolean> {
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...pair });
  let said = "";
  try {
    for await (const part of socket) said += String(part);
  } catch {
    return false;
  }
  return said === "welcome";
}

export const sharedX509: SharedServer = { type: "x509", server: null, start };
