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
import { checkSame } from "./check-same.ts";
import { damagedText } from "./damaged-text.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";
import { repeated } from "./grown-text.ts";

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

/** Of all headers of a request together. */
const HEADERS_BYTES_MAX = 16 * 1024;

/** A header as Node has it: Latin-1, one line. */
const oneLine = (text: string): string => text.replaceAll(/[^\t\u0020-\u007e\u0080-\u00ff]/g, "");

const CLIENT_CERTS = [":AAAA:", ":AQID:|:BAUG:, :BwgJ:", ":AA==:|:AQI=:"];

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
    sound: CLIENT_CERTS,
    limit: HEADERS_BYTES_MAX,
    shapes: [
      repeated(":", "AAAA", ":"),
      repeated(":AAAA:|:", "AAAA", ":"),
      repeated(":AAAA:|", ":AAAA:, ", ":AAAA:"),
      repeated(":AAAA:|", ",", ""),
      repeated(":", "A", "=="),
      repeated("", " ", ":AAAA:"),
      repeated(":AAAA:", " ", "x"),
    ],
    parse: (input) => {
      const [leaf = "", ...chain] = oneLine(input).split("|");
      return from(leaf, chain);
    },
    isOwn: (error) => BrokerError.is(error) && error.code === "invalid_request",
    again: (accepted) => {
      const [leaf, ...others] = accepted ?? [];
      if (leaf === undefined) throw new Error("a header was read as none");
      const chain = others.length === 0 ? [] : [others.map(text).join(", ")];
      checkSame(from(text(leaf), chain), accepted);
    },
  });
}

const TRACEPARENTS = [
  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-the-future-brings",
];
const traceparent: FuzzedParser = {
  name: "traceparent",
  sound: TRACEPARENTS,
  limit: HEADERS_BYTES_MAX,
  shapes: [
    (size) => repeated(`${TRACEPARENTS[1]}-`, "a", "")(Math.min(size, 512)),
    (size) => repeated(`${TRACEPARENTS[1]}-`, "-", "")(Math.min(size, 513)),
    repeated("00-", "0", "-01"),
  ],
  inputs: damagedText(TRACEPARENTS),
  parse: (input) => {
    const parent = parseTraceparent(input);
    if (parent === null) return null;
    return () => {
      const { traceId, spanId, sampled } = parent;
      checkSame(input.slice(3, 52), `${traceId}-${spanId}`);
      checkSame(parseTraceparent(`00-${traceId}-${spanId}-0${sampled ? 1 : 0}`), parent);
    };
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
    sound,
    limit: HEADERS_BYTES_MAX,
    shapes: [
      repeated("for=192.0.2.7, ", "for=10.0.0.1, ", "for=10.0.0.1"),
      repeated("192.0.2.7, ", "10.0.0.1, ", "10.0.0.1"),
      repeated("192.0.2.7, ", "10.0.0.1,", "10.0.0.1, 192.0.2.8"),
      repeated("for=192.0.2.7;", 'x="', ""),
      repeated("for=192.0.2.7", ";", ' for="'),
      repeated("for", " ", "=192.0.2.7"),
      repeated(";", " ", "for=192.0.2.7"),
      repeated("for=192.0.2.7;a=", '"a;for=";', ""),
      repeated("[", "[", "]:1"),
      repeated("192.0.2.7:", "1", ""),
      repeated("fe80::1%", "%", ""),
    ],
    inputs: damagedText(sound),
    parse: (input) => {
      const address = of(oneLine(input)) ?? "";
      if (isIP(address) === 0) throw new Error("what was read is no address");
      if (address === PROXY) return null;
      return () => {
        const bare = address.includes(":") ? `[${address}]` : address;
        checkSame(of(trustedProxyHeader === "forwarded" ? `for="${bare}"` : bare), address);
      };
    },
  };
}
