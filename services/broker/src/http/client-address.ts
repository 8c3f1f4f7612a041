import type { IncomingHttpHeaders } from "node:http";
import { BlockList, isIP, isIPv4 } from "node:net";

/** A range of addresses. */
export interface AddressRange {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  readonly prefix: number;
}
export interface ProxySettings {
  readonly trustedProxies: readonly AddressRange[];
  /** The one header that the proxies write; the other is never read. */
  readonly trustedProxyHeader: "x-forwarded-for" | "forwarded";
}
/** What is looked at of a request of Node's. */
export interface ConnectedRequest {
  readonly socket: { readonly remoteAddress?: string | undefined };
  readonly headers: IncomingHttpHeaders;
}
/** Who called: an address, or null where there is no connection (calls in process). */
export type ClientAddress = (incoming: ConnectedRequest | undefined) => string | null;

/** Hops that are looked at; a longer list says nothing more. */
const HOPS_MAX = 32;

/**
 * The address of the client. That of the connection, unless it is a trusted proxy's: then the
 * right-most address in the header that is not one of a trusted proxy's. What stands left of it was
 * sent by whoever called that proxy, and proves nothing. A part that is no address ends the walk at
 * the proxy that wrote it.
 */
export function createClientAddress(settings: ProxySettings): ClientAddress {
  const isTrusted = trustedAddresses(settings);
  return (incoming) => {
    const connected = plainAddress(incoming?.socket.remoteAddress ?? "");
    if (incoming === undefined || connected === null) return null;
    if (settings.trustedProxies.length === 0 || !isTrusted(connected)) return connected;
    const header = incoming.headers[settings.trustedProxyHeader];
    const hops =
      settings.trustedProxyHeader === "forwarded"
        ? forwardedFor(textOf(header))
        : textOf(header).split(",");
    let client = connected;
    for (const hop of hops.slice(-HOPS_MAX).toReversed()) {
      const address = plainAddress(hop.trim());
      if (address === null) break;
      client = address;
      if (!isTrusted(address)) break;
    }
    return client;
  };
}

/** Whether a request came over a trusted proxy's connection. */
export function createFromProxy(
  settings: Pick<ProxySettings, "trustedProxies">,
): (incoming: ConnectedRequest) => boolean {
  const isTrusted = trustedAddresses(settings);
  return ({ socket }) => {
    const connected = plainAddress(socket.remoteAddress ?? "");
    return connected !== null && isTrusted(connected);
  };
}

function trustedAddresses({
  trustedProxies,
}: Pick<ProxySettings, "trustedProxies">): (address: string) => boolean {
  const trusted = new BlockList();
  for (const { address, prefix, family } of trustedProxies) {
    trusted.addSubnet(address, prefix, family);
  }
  return (address) => trusted.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

const textOf = (header: string | string[] | undefined): string =>
  Array.isArray(header) ? header.join(",") : (header ?? "");

/** The `for` of each element (RFC 7239 section 4), "" where an element has none. */
const forwardedFor = (header: string): readonly string[] =>
  header === ""
    ? []
    : [...header.matchAll(ELEMENT)].map(([element]) => {
        const [, quoted, token] =
          /(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^\s;,"]*))/i.exec(element) ?? [];
        return quoted ?? token ?? "";
      });
/** A comma inside of quotes parts no elements. */
const ELEMENT = /(?:"[^"]*"|[^,"])+/g;

/** Without port, brackets and zone; an IPv4 address that is mapped into IPv6 is the IPv4 one. */
export function plainAddress(text: string): string | null {
  if (isIPv4(text)) return text;
  const bare =
    /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  const address = bare.replace(/%.*$/, "").toLowerCase();
  const mapped = /^::ffff:([\d.]+)$/.exec(address)?.[1] ?? address;
  return isIP(mapped) === 0 ? null : mapped;
}
