import { X509Certificate } from "node:crypto";
import { lookup as systemLookup, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { TLSSocket } from "node:tls";
import { Agent, buildConnector } from "undici";
import type { OutboundOptions } from "@mayfly/spec";
import { mayConnectTo, type AddressPolicy } from "./address-policy.ts";
import { OutboundError } from "./outbound-error.ts";

/** All addresses of a name, as the connection will be made to them. */
export type ResolveName = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface PolicedAgentOptions {
  readonly policy: AddressPolicy;
  /** PEM; instead of the platform's certificate authorities. */
  readonly ca: string | readonly string[] | null;
  readonly resolveName: ResolveName;
  /** See `OutboundOptions` of spec. */
  readonly judgeServer?: (chain: readonly Uint8Array[]) => void;
  readonly clientSvid?: OutboundOptions["clientSvid"];
}

const CONNECT_TIMEOUT_MS = 10_000;
/** Above any deadline that a caller may ask for. */
const IDLE_TIMEOUT_MS = 60_000;
const CONNECTIONS_PER_ORIGIN_MAX = 4;
const HEADER_BYTES_MAX = 16 * 1024;

/**
 * A pool of connections of one policy. The policy judges the very addresses that the socket is
 * then given, so that a name which changes its answer between two look-ups gains nothing.
 */
export function createPolicedAgent(options: PolicedAgentOptions): Agent {
  const { judgeServer, clientSvid } = options;
  const connect = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    allowH2: false,
    lookup: policedLookup(options),
    ...(options.ca === null ? {} : { ca: [options.ca].flat() }),
    // Whoever judges sees the certificates of each connection: none is resumed.
    ...(judgeServer === undefined ? {} : { rejectUnauthorized: false, maxCachedSessions: 0 }),
    ...(clientSvid === undefined ? {} : clientPair(clientSvid)),
  });
  return new Agent({
    connections: CONNECTIONS_PER_ORIGIN_MAX,
    pipelining: 1,
    headersTimeout: IDLE_TIMEOUT_MS,
    bodyTimeout: IDLE_TIMEOUT_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
    connect: policedLiterals(options.policy, (target, callback) => {
      connect(target, judgeServer === undefined ? callback : judged(callback, judgeServer));
    }),
  });
}

/** For an upstream that an administrator names: on any network, never where clouds serve keys. */
export function policedConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const policy = "unsafe_private";
  const lookup = policedLookup({ policy, resolveName: resolveBySystem });
  return policedLiterals(policy, buildConnector({ ...options, allowH2: false, lookup }));
}

/** A literal address is never looked up, so the lookup would not see it. */
const policedLiterals =
  (policy: AddressPolicy, connect: buildConnector.connector): buildConnector.connector =>
  (target, callback) => {
    const literal = target.hostname.replace(/^\[(.*)\]$/, "$1");
    if (isIP(literal) === 0 || mayConnectTo(literal, policy)) connect(target, callback);
    else callback(blocked(literal), null);
  };

const clientPair = ({ chain, privateKey }: NonNullable<OutboundOptions["clientSvid"]>) => ({
  cert: chain.map((der) => new X509Certificate(der).toString()).join(""),
  key: privateKey.expose("crypto"),
});

/** More than any judge takes: a chain that is too long is still seen to be. */
const CERTIFICATES_MAX = 9;

/** Nothing is sent before the server is judged: the connection is handed on only then. */
const judged =
  (
    callback: buildConnector.Callback,
    judge: (chain: readonly Uint8Array[]) => void,
  ): buildConnector.Callback =>
  (...[error, socket]) => {
    if (error !== null) {
      callback(error, null);
      return;
    }
    try {
      judge(socket instanceof TLSSocket ? chainOf(socket) : []);
    } catch (why) {
      socket.destroy();
      callback(why instanceof Error ? why : new Error("the server was refused"), null);
      return;
    }
    callback(null, socket);
  };

function chainOf(socket: TLSSocket): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  let next = socket.getPeerX509Certificate();
  while (next !== undefined && found.length < CERTIFICATES_MAX) {
    found.push(next.raw);
    next = next.issuerCertificate;
  }
  return found;
}

function policedLookup({
  policy,
  resolveName,
}: Pick<PolicedAgentOptions, "policy" | "resolveName">): LookupFunction {
  return (hostname, { all }, callback) => {
    resolveName(hostname).then(
      (addresses) => {
        const [first] = addresses;
        const refused = addresses.some(({ address }) => !mayConnectTo(address, policy));
        // One address that is refused among good ones is an attempt, not an accident.
        if (first === undefined || refused) callback(blocked(hostname), "", 0);
        else if (all === true) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
      (error: unknown) => {
        callback(error instanceof Error ? error : new Error("look-up failed"), "", 0);
      },
    );
  };
}

const blocked = (host: string): OutboundError =>
  new OutboundError("address", host, "its address is not one that may be connected to");

/** The machine's resolver, hosts file included. */
export const resolveBySystem: ResolveName = (hostname) =>
  new Promise((resolve, reject) => {
    systemLookup(hostname, { all: true }, (error, addresses) => {
      if (error === null) resolve(addresses);
      else reject(error);
    });
  });
