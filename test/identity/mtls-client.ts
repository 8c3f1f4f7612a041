import { X509Certificate } from "node:crypto";
import { request } from "node:https";
import type { PeerCertificate, TLSSocket } from "node:tls";
import type { WrittenSvid } from "./spire-domain.ts";

export interface MtlsReply {
  readonly status: number;
  readonly text: string;
  readonly body: unknown;
  /** SHA-256 of the certificate that the server showed. */
  readonly servedBy: string;
}

/**
 * `POST /token` over mTLS, with an SVID and to whoever serves with this SPIFFE ID under its bundle.
 * Each call has a connection of its own.
 */
export function postToken(
  url: string,
  form: Readonly<Record<string, string>>,
  options: {
    readonly svid: WrittenSvid | null;
    readonly bundle: string;
    readonly serverId: string;
  },
): Promise<MtlsReply> {
  const { svid, bundle, serverId } = options;
  const body = new URLSearchParams(form).toString();
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url.replace("http://", "https://")}/token`,
      {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded" },
        agent: false,
        ca: bundle,
        checkServerIdentity: (_host, { raw }: PeerCertificate) => differentId(raw, serverId),
        ...(svid === null ? {} : { cert: svid.cert, key: svid.key }),
      },
      (response) => {
        const servedBy = (response.socket as TLSSocket).getPeerCertificate().fingerprint256;
        const pieces: Buffer[] = [];
        response.on("data", (piece: Buffer) => pieces.push(piece));
        response.on("end", () => {
          const text = Buffer.concat(pieces).toString();
          resolve({ status: response.statusCode ?? 0, text, body: JSON.parse(text), servedBy });
        });
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

const differentId = (der: Buffer, wanted: string): Error | undefined =>
  new X509Certificate(der).subjectAltName === `URI:${wanted}`
    ? undefined
    : new Error(`the server is not ${wanted}`);
