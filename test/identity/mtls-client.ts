import { X509Certificate } from "node:crypto";
import { Agent, request, type RequestOptions } from "node:https";
import { connect, type ConnectionOptions, type PeerCertificate, type TLSSocket } from "node:tls";
import type { WrittenSvid } from "./spire-domain.ts";

export interface MtlsReply {
  readonly status: number;
  readonly text: string;
  readonly body: unknown;
  /** SHA-256 of the certificate that the server showed. */
  readonly servedBy: string;
  /** Our port, by which connections are told apart. */
  readonly port: number;
  /** Whether the connection went on with a session of before. */
  readonly isResumed: boolean;
}

export interface MtlsOptions {
  readonly svid: WrittenSvid | null;
  /** PEM, of whoever serves. */
  readonly bundle: string;
  readonly serverId: string;
  /** Default: a connection of its own for each request. */
  readonly agent?: Agent;
  /** Of an earlier connection, to go on with. */
  readonly session?: Buffer;
  /** Is told each session that the server offers. */
  readonly onSession?: (session: Buffer) => void;
}

export interface MtlsRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** `POST /token` with a form. */
export const postToken = (
  url: string,
  form: Readonly<Record<string, string>>,
  options: MtlsOptions,
  headers: Readonly<Record<string, string>> = {},
): Promise<MtlsReply> =>
  sendOverTls(
    url,
    {
      method: "POST",
      path: "/token",
      headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
      body: new URLSearchParams(form).toString(),
    },
    options,
  );

/** One request with an SVID, to whoever serves with this SPIFFE ID under its bundle. */
export function sendOverTls(
  url: string,
  { method, path, headers = {}, body = "" }: MtlsRequest,
  { svid, bundle, serverId, agent, session, onSession }: MtlsOptions,
): Promise<MtlsReply> {
  const target = `${url.replace("http://", "https://")}${path}`;
  const options: RequestOptions = {
    method,
    headers,
    agent: agent ?? false,
    ca: bundle,
    // Node keeps no connection open whose server is judged by what a request says.
    ...(agent === undefined ? { checkServerIdentity: identityCheck(serverId) } : {}),
    ...(svid === null ? {} : { cert: svid.cert, key: svid.key }),
    ...(session === undefined ? {} : { session }),
  };
  return new Promise((resolve, reject) => {
    const sent = request(target, options, (response) => {
      const socket = response.socket as TLSSocket;
      const seen = {
        status: response.statusCode ?? 0,
        servedBy: socket.getPeerCertificate().fingerprint256,
        port: socket.localPort ?? 0,
        isResumed: socket.isSessionReused(),
      };
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => {
        const text = Buffer.concat(pieces).toString();
        resolve({ ...seen, text, body: JSON.parse(text) });
      });
    });
    if (onSession !== undefined) sent.on("socket", (socket) => socket.on("session", onSession));
    sent.on("error", reject);
    sent.end(body);
  });
}

/** One connection to whoever serves with this SPIFFE ID, for as long as that one keeps it. */
export class KeptOpen extends Agent implements Disposable {
  readonly #serverId: string;
  constructor(serverId: string) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#serverId = serverId;
  }
  override createConnection(options: ConnectionOptions): TLSSocket {
    return connect({ ...options, checkServerIdentity: identityCheck(this.#serverId) });
  }
  [Symbol.dispose](): void {
    this.destroy();
  }
}

const identityCheck =
  (wanted: string) =>
  (_host: string, { raw }: PeerCertificate): Error | undefined =>
    new X509Certificate(raw).subjectAltName === `URI:${wanted}`
      ? undefined
      : new Error(`the server is not ${wanted}`);
