import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { BrokerError } from "@mayfly/spec";
import type { ConnectedRequest } from "./client-address.ts";

/** DER certificates, leaf first. */
export type CertificateChain = readonly [Uint8Array, ...Uint8Array[]];
/** What is looked at of a request of Node's. */
export interface CertifiedRequest extends ConnectedRequest {
  readonly socket: Socket;
  readonly headersDistinct: NodeJS.Dict<string[]>;
}
/**
 * The certificates whose leaf's key the client has proven to hold, or null where it showed none.
 * Nothing else about them is verified. Throws `invalid_request` at a proxy's header that cannot be
 * read.
 */
export type PeerCertificates = (incoming: CertifiedRequest | undefined) => CertificateChain | null;

export interface ClientCertificateSettings {
  /** Whether the trusted proxies say in RFC 9440's headers which certificate they were shown. */
  readonly trustedProxyClientCert: boolean;
}

/** More than any verifier takes: one that is too long is still seen to be. */
const CERTIFICATES_MAX = 9;
/** RFC 8941 section 3.3.5. */
const BYTE_SEQUENCE = /^:([A-Za-z0-9+/]+={0,2}):$/;

/**
 * From the connection itself; or, where the connection is a trusted proxy's that terminates mTLS,
 * from `Client-Cert` and `Client-Cert-Chain` (RFC 9440) alone: the proxy's own certificate is
 * nobody's who calls. From anybody else these headers are not read at all.
 */
export function createPeerCertificates(
  settings: ClientCertificateSettings,
  isFromProxy: (incoming: ConnectedRequest) => boolean,
): PeerCertificates {
  const known = new WeakMap<Socket, CertificateChain | null>();
  return (incoming) => {
    if (incoming === undefined) return null;
    if (isFromProxy(incoming)) {
      return settings.trustedProxyClientCert ? fromHeaders(incoming) : null;
    }
    const { socket } = incoming;
    if (!(socket instanceof TLSSocket)) return null;
    const seen = known.get(socket);
    if (seen !== undefined) return seen;
    const chain = fromConnection(socket);
    known.set(socket, chain);
    return chain;
  };
}

/** As the client sent them: a handshake ends only after it proved the leaf's key. */
function fromConnection(socket: TLSSocket): CertificateChain | null {
  const found: Uint8Array[] = [];
  let next: X509Certificate | undefined = socket.getPeerX509Certificate();
  while (next !== undefined && found.length < CERTIFICATES_MAX) {
    found.push(next.raw);
    next = next.issuerCertificate;
  }
  return chainOf(found);
}

const chainOf = ([leaf, ...others]: readonly Uint8Array[]): CertificateChain | null =>
  leaf === undefined ? null : [leaf, ...others];

function fromHeaders({ headersDistinct }: CertifiedRequest): CertificateChain | null {
  const leaf = headersDistinct["client-cert"];
  const chain = headersDistinct["client-cert-chain"] ?? [];
  if (leaf === undefined) return null;
  // RFC 9440 section 2.2: an item, so that a second one is a second hop's or a caller's.
  if (leaf.length > 1) throw unreadable("Client-Cert");
  const others = chain.flatMap((value) => value.split(","));
  if (others.length >= CERTIFICATES_MAX) throw unreadable("Client-Cert-Chain");
  return [
    bytesOf(leaf[0] ?? "", "Client-Cert"),
    ...others.map((value) => bytesOf(value, "Client-Cert-Chain")),
  ];
}

function bytesOf(value: string, header: string): Uint8Array {
  const [, base64] = BYTE_SEQUENCE.exec(value.trim()) ?? [];
  const bytes = Buffer.from(base64 ?? "", "base64");
  // Half a byte, or bits that say nothing: what was written was something else.
  if (base64 === undefined || bytes.toString("base64") !== base64) throw unreadable(header);
  return bytes;
}

const unreadable = (header: string): BrokerError =>
  new BrokerError("invalid_request", `${header} is not as RFC 9440 has it.`, { where: header });
