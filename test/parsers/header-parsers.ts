import { deepStrictEqual, strictEqual } from "node:assert";
import { Socket, isIP } from "node:net";
import { BrokerError } from "@mayfly/spec";
import {
  createClientAddress,
  type ProxySettings,
} from "../../services/broker/src/http/client-address.ts";
import {
  createPeerCertificates,
  type CertificateChain,
} from "../../services/broker/src/http/peer-certificates.ts";
import { parseTraceparent } from "../../services/broker/src/http/traceparent.ts";
import { damagedText } from "./damaged-text.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";

/** What stands in headers that are read before anybody is authenticated. */
export const headerParsers = (): readonly FuzzedParser[] => [
  clientCert(),
  traceparent,
  clientAddress("x-forwarded-for", ["192.0.2.7", "192.0.2.7, 10.0.0.1", "[2001:db8::1]:443, x"]),
  clientAddress("forwarded", [
    "for=192.0.2.7;proto=https",
    'for=192.0.2.7, for="[2001:db8::1]:443";by=_x',
    "for=unknown;host=a.test, proto=http",
  ]),
];

/** A header as Node has it: Latin-1, one line. */
const oneLine = (text: string): string => text.replaceAll(/[^\t\u0020-\u007e\u0080-\u00ff]/g, "");

/** RFC 9440, from a proxy that is trusted to tell of it. */
function clientCert(): FuzzedParser {
  const read = createPeerCertificates({ trustedProxyClientCert: true }, () => true);
  const socket = new Socket();
  const from = (leaf: string, chain: readonly string[]): CertificateChain | null =>
    read({
      socket,
      headers: {},
      headersDistinct: { "client-cert": [leaf], "client-cert-chain": [...chain] },
    });
  const text = (der: Uint8Array): string => `:${Buffer.from(der).toString("base64")}:`;
  return throwingParser({
    name: "client_cert_header",
    inputs: damagedText([":AAAA:", ":AQID:|:BAUG:, :BwgJ:", ":AA==:|:AQI=:"]).map(oneLine),
    parse: (input) => {
      const [leaf = "", ...chain] = input.split("|");
      return from(leaf, chain);
    },
    isOwn: (error) => BrokerError.is(error) && error.code === "invalid_request",
    again: (accepted) => {
      const [leaf, ...others] = accepted ?? [];
      if (leaf === undefined) throw new Error("a header was read as none");
      const chain = others.length === 0 ? [] : [others.map(text).join(", ")];
      deepStrictEqual(from(text(leaf), chain), accepted);
    },
  });
}

const traceparent: FuzzedParser = {
  name: "traceparent",
  inputs: damagedText([
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-the-future-brings",
  ]),
  check: (input) => {
    const parent = parseTraceparent(input);
    if (parent === null) return false;
    const { traceId, spanId, sampled } = parent;
    strictEqual(input.slice(3, 52), `${traceId}-${spanId}`);
    deepStrictEqual(parseTraceparent(`00-${traceId}-${spanId}-0${sampled ? 1 : 0}`), parent);
    return true;
  },
};

/** Of a request through 10.0.0.1, which is a proxy of ours: the address, or that of the proxy. */
function clientAddress(
  trustedProxyHeader: ProxySettings["trustedProxyHeader"],
  sound: readonly string[],
): FuzzedParser {
  const PROXY = "10.0.0.1";
  const trustedProxies = [{ address: PROXY, family: "ipv4", prefix: 32 }] as const;
  const read = createClientAddress({ trustedProxies, trustedProxyHeader });
  const of = (header: string): string | null =>
    read({ socket: { remoteAddress: PROXY }, headers: { [trustedProxyHeader]: header } });
  return {
    name: trustedProxyHeader.replaceAll("-", "_"),
    inputs: damagedText(sound).map(oneLine),
    check: (input) => {
      const address = of(input) ?? "";
      if (isIP(address) === 0) throw new Error("what was read is no address");
      if (address === PROXY) return false;
      const bare = address.includes(":") ? `[${address}]` : address;
      strictEqual(of(trustedProxyHeader === "forwarded" ? `for="${bare}"` : bare), address);
      return true;
    },
  };
}
