import { lookup as systemLookup, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { Agent, buildConnector } from "undici";
import { mayConnectTo, type AddressPolicy } from "./address-policy.ts";
import { OutboundError } from "./outbound-error.ts";

/** All addresses of a name, as the connection will be made to them. */
export type ResolveName = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface PolicedAgentOptions {
  readonly policy: AddressPolicy;
  /** PEM; instead of the platform's certificate authorities. */
  readonly ca: string | readonly string[] | null;
  readonly resolveName: ResolveName;
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
  const connect = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    allowH2: false,
    lookup: policedLookup(options),
    ...(options.ca === null ? {} : { ca: [options.ca].flat() }),
  });
  return new Agent({
    connections: CONNECTIONS_PER_ORIGIN_MAX,
    pipelining: 1,
    headersTimeout: IDLE_TIMEOUT_MS,
    bodyTimeout: IDLE_TIMEOUT_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
    connect: (target, callback) => {
      // A literal address is never looked up, so the lookup would not see it.
      const literal = target.hostname.replace(/^\[(.*)\]$/, "$1");
      if (isIP(literal) !== 0 && !mayConnectTo(literal, options.policy)) {
        callback(blocked(literal), null);
        return;
      }
      connect(target, callback);
    },
  });
}

function policedLookup({ policy, resolveName }: PolicedAgentOptions): LookupFunction {
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
