import type { SpiffeId } from "@mayfly/spec";
import { createFakeClock, createTestX509Authority } from "@mayfly/testkit";
import { Refusal } from "../../packages/identity/src/refusal.ts";
import {
  CERTIFICATE_BYTES_MAX,
  decodeCertificate,
  parseCertificate,
  type Certificate,
} from "../../packages/identity/src/x509/certificate.ts";
import { checkLeaf } from "../../packages/identity/src/x509/check-leaf.ts";
import { parsePresentedChain } from "../../packages/identity/src/x509/presented-chain.ts";
import { checkSame } from "./check-same.ts";
import { der } from "./der.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";
import { repeated, type Shape } from "./grown-text.ts";

/** X.509 in DER as it comes from a TLS handshake, and two of its extensions by themselves. */
export function certificateParsers(): readonly FuzzedParser[] {
  const authority = createTestX509Authority({ clock: createFakeClock() });
  const bytes = (content: Uint8Array): string => Buffer.from(content).toString("latin1");
  const names = [
    { dNSName: "a.test, URI:spiffe://acme.test/root" },
    { uniformResourceIdentifier: "spiffe://acme.test/workload" },
  ];
  const leaves = [
    authority.issue(),
    authority.issue({ subject: null, namesCritical: true, names }),
    authority.issue({ extendedKeyUsage: null }),
  ].map(({ chain: [leaf = new Uint8Array()] }) => bytes(leaf));
  const [leaf = ""] = leaves;
  return [
    wholeCertificate([...leaves, bytes(authority.der)], withExtension(leaf, SAN)),
    alternativeNames(withExtension(leaf, SAN)),
    keyUsage(withExtension(leaf, KEY_USAGE)),
  ];
}

const SAN = "\u0055\u001d\u0011";
const KEY_USAGE = "\u0055\u001d\u000f";
const [OID, OCTETS, BITS, SEQUENCE] = [0x06, 0x04, 0x03, 0x30] as const;

/** The certificate with another value in that extension of it. Its signature is nobody's. */
function withExtension(certificate: string, oid: string): (value: string) => string {
  const [whole] = der.split(certificate);
  const [tbs, ...signed] = der.split(whole?.content ?? "");
  const fields = der.split(tbs?.content ?? "");
  const [list] = der.split(fields.at(-1)?.content ?? "");
  const extensions = der.split(list?.content ?? "");
  const place = extensions.findIndex(({ content }) => content.startsWith(der.element(OID, oid)));
  const wholes = (of: typeof fields): string => of.map((each) => each.whole).join("");
  return (value) => {
    const extension = der.element(SEQUENCE, der.element(OID, oid) + der.element(OCTETS, value));
    const all =
      wholes(extensions.slice(0, place)) + extension + wholes(extensions.slice(place + 1));
    const body = wholes(fields.slice(0, -1)) + der.element(0xa3, der.element(SEQUENCE, all));
    return der.element(SEQUENCE, der.element(SEQUENCE, body) + wholes(signed));
  };
}

interface Leaf {
  readonly certificate: Certificate;
  readonly id: SpiffeId;
}

/** A leaf, as a client shows it. */
function parseLeaf(text: string): Leaf {
  const chain = parsePresentedChain([Buffer.from(text, "latin1")]);
  // Nobody's bundle is looked at then, and nothing is decoded.
  if (chain.claimedTrustDomain === null) throw new Refusal("subject", "it claims no trust domain");
  const certificate = decodeCertificate(chain.leaf.x509);
  const id = checkLeaf(certificate, "client");
  // Whose bundle is looked at, by OpenSSL's text, is that of the id that is decoded after it.
  checkSame(chain.claimedTrustDomain, id.trustDomain);
  return { certificate, id };
}
const isOwn = (error: unknown): boolean => error instanceof Refusal;

function wholeCertificate(
  sound: readonly string[],
  withNames: (value: string) => string,
): FuzzedParser {
  return throwingParser({
    name: "x509_certificate",
    sound,
    limit: CERTIFICATE_BYTES_MAX,
    shapes: NAME_SHAPES.map((shape) => fitting(shape, withNames)),
    parse: parseLeaf,
    isOwn,
    again: ({ certificate, id }, text) => {
      checkSame(Buffer.from(certificate.x509.raw), Buffer.from(text, "latin1"));
      const anew = parseCertificate(certificate.x509.raw);
      checkSame(checkLeaf(anew, "client"), id);
      checkSame(anew.keyUsage, certificate.keyUsage);
      checkSame(anew.alternativeNames, certificate.alternativeNames);
    },
  });
}

const uri = (text: string): string => der.element(0x86, text);
const dns = (text: string): string => der.element(0x82, text);
const ID = uri("spiffe://acme.test/workload");
const COMMON_NAME = der.element(OID, "\u0055\u0004\u0003") + der.element(0x0c, "a, URI:b");
const NAMES = [
  ID,
  dns("a.test, URI:spiffe://acme.test/root") + ID,
  dns('a"\\",URI:spiffe://acme.test/root') + ID + der.element(0x87, "\u007f\u0000\u0000\u0001"),
  ID +
    der.element(0x81, "a@acme.test") +
    der.element(0x88, "\u002a\u0003") +
    der.element(0xa4, der.element(SEQUENCE, der.element(0x31, der.element(SEQUENCE, COMMON_NAME)))),
  der.element(0xa0, der.element(OID, "\u002a\u0003") + der.element(0xa0, der.element(0x0c, "é"))) +
    uri("spiffe://acme.test/a/b"),
];

/** One inside the other, as deep as there is room. */
const nested =
  (before: string, ...tags: readonly number[]): Shape =>
  (size) => {
    let inner = "";
    for (let n = 0; ; n += 1) {
      const next = der.element(tags[n % tags.length] ?? SEQUENCE, inner);
      if (before.length + next.length > size) return before + inner;
      inner = next;
    }
  };
const oneName = (make: (text: string) => string, unit: string): Shape => {
  const long = repeated("", unit, "");
  return (size) => ID + make(long(Math.max(0, size - ID.length - 4)));
};
const NAME_SHAPES: readonly Shape[] = [
  repeated(ID, dns("a"), ""),
  repeated(ID, (n) => dns(`a${n}.test`), ""),
  repeated(ID, dns(""), ""),
  repeated(ID, dns('"'), ""),
  repeated("", ID, ""),
  repeated(ID, der.element(0xa4, der.element(SEQUENCE, "")), ""),
  repeated(ID, der.element(0x88, "\u002a\u0003"), ""),
  oneName(dns, "a"),
  oneName(dns, '"'),
  oneName(dns, '\\"'),
  oneName(dns, ", URI:spiffe://acme.test/a"),
  oneName((text) => der.element(0x88, text), "\u00ff"),
  (size) => uri(repeated("spiffe://acme.test", "/a", "")(size - 4)),
  nested(ID, SEQUENCE),
  nested(ID, 0xa4, SEQUENCE, 0x31),
  nested(ID, 0xa0),
];
/** A shape of the names, in a certificate of so many bytes. */
const fitting =
  (shape: Shape, withNames: (value: string) => string): Shape =>
  (size) =>
    withNames(der.element(SEQUENCE, shape(Math.max(0, size - overheadOf(withNames)))));
const TYPICAL = "a".repeat(CERTIFICATE_BYTES_MAX / 2);
const overheadOf = (build: (value: string) => string): number =>
  build(der.element(SEQUENCE, TYPICAL)).length - TYPICAL.length;

const latin1 = (text: string): string => Buffer.from(text, "latin1").toString("latin1");

/** What stands in the extension of alternative names: GeneralNames, one after the other. */
function alternativeNames(build: (value: string) => string): FuzzedParser {
  const certificateOf = (names: string): string => build(der.element(SEQUENCE, latin1(names)));
  return throwingParser({
    name: "x509_san",
    sound: NAMES,
    limit: CERTIFICATE_BYTES_MAX - overheadOf(build),
    shapes: NAME_SHAPES,
    parse: (names) => parseLeaf(certificateOf(names)),
    isOwn,
    again: ({ certificate, id }, names) => {
      const { names: decoded } = certificate.alternativeNames ?? { names: [] };
      const parts = der.split(latin1(names));
      checkSame(decoded.length, parts.length);
      for (const [n, name] of decoded.entries()) {
        const { uniformResourceIdentifier: link, dNSName: host } = name;
        if (link !== undefined) checkSame(uri(link), parts[n]?.whole);
        if (host !== undefined) checkSame(dns(host), parts[n]?.whole);
      }
      // The id alone, by an encoder that is not the one that decoded it.
      checkSame(parseLeaf(certificateOf(uri(id.id))).id, id);
    },
  });
}

/** The DER of the extension's value, a string of bits. */
function keyUsage(build: (value: string) => string): FuzzedParser {
  return throwingParser({
    name: "x509_key_usage",
    sound: [
      "\u0007\u0080",
      "\u0006\u00c0",
      "\u0005\u00a0",
      "\u0003\u0088",
      "\u0007\u0080\u0080",
    ].map((bits) => der.element(BITS, bits)),
    limit: CERTIFICATE_BYTES_MAX - overheadOf(build),
    shapes: [
      (size) => der.element(BITS, repeated("\u0000\u0080", "\u0000", "\u0001")(size - 4)),
      (size) => der.element(BITS, repeated("\u0000", "\u00ff", "")(size - 4)),
      (size) => der.element(BITS, repeated("\u0000\u0080", "\u0000", "")(size - 4)),
    ],
    parse: (value) => parseLeaf(build(latin1(value))),
    isOwn,
    again: ({ certificate }, value) => {
      checkSame(der.element(BITS, bitsOf(certificate.keyUsage ?? 0)), latin1(value));
    },
  });
}

/** X.690 section 11.2.2: bits that have names end with the last one that is set. */
function bitsOf(usage: number): string {
  const last = usage.toString(2).length - 1;
  const bytes = new Uint8Array(Math.floor(last / 8) + 1);
  for (let bit = 0; bit <= last; bit += 1) {
    if ((usage & (1 << bit)) !== 0) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  }
  return String.fromCharCode(7 - (last % 8), ...bytes);
}
