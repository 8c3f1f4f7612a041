import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { TLSSocket } from "node:tls";
import type { WrittenSvid } from "./spire-domain.ts";

/** Whom a bundle endpoint was shown in one request, after TLS let it in. */
export interface ShownClient {
  readonly spiffeId: string;
  /** SHA-256 of the certificate. */
  readonly fingerprint: string;
}

export interface AskingEndpoint extends AsyncDisposable {
  readonly url: string;
  readonly shown: readonly ShownClient[];
  /** Serves with this SVID from the next connection on. */
  serveWith(svid: WrittenSvid): void;
}

export interface AskingEndpointOptions {
  readonly svid: WrittenSvid;
  /** PEM: whose certificates it takes. */
  readonly clients: string;
  readonly bundle: Readonly<Record<string, unknown>>;
}

/** A bundle endpoint as in a mesh: nobody gets further than TLS without a certificate. */
export async function startAskingEndpoint({
  svid,
  clients,
  bundle,
}: AskingEndpointOptions): Promise<AskingEndpoint> {
  const shown: ShownClient[] = [];
  const asked = { requestCert: true, rejectUnauthorized: true, ca: clients };
  const pair = ({ cert, key }: WrittenSvid) => ({ ...asked, cert, key });
  const server = createServer(pair(svid), ({ socket }, response) => {
    const peer = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
    shown.push({
      spiffeId: /URI:(spiffe:[^,]+)/.exec(peer?.subjectAltName ?? "")?.[1] ?? "",
      fingerprint: peer?.fingerprint256 ?? "",
    });
    response.setHeader("Connection", "close");
    response.end(JSON.stringify(bundle));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/bundle`,
    shown,
    serveWith: (next) => server.setSecureContext(pair(next)),
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
