import { deepStrictEqual, strictEqual } from "node:assert";
import { createFakeClock, createTestX509Authority } from "@mayfly/testkit";
import { Refusal } from "../../packages/identity/src/refusal.ts";
import {
  decodeCertificate,
  parseCertificate,
} from "../../packages/identity/src/x509/certificate.ts";
import { checkLeaf } from "../../packages/identity/src/x509/check-leaf.ts";
import { parsePresentedChain } from "../../packages/identity/src/x509/presented-chain.ts";
import { damagedText } from "./damaged-text.ts";
import { throwingParser, type FuzzedParser } from "./fuzzed-parser.ts";

/** X.509 in DER, its names and its key usage, as they come from a TLS handshake. */
export function certificateParser(): FuzzedParser {
  const authority = createTestX509Authority({ clock: createFakeClock() });
  const names = [
    { dNSName: "a.test, URI:spiffe://acme.test/root" },
    { uniformResourceIdentifier: "spiffe://acme.test/workload" },
  ];
  const leaves = [
    authority.issue(),
    authority.issue({ subject: null, namesCritical: true, names }),
    authority.issue({ extendedKeyUsage: null }),
  ].map(({ chain: [leaf = new Uint8Array()] }) => leaf);
  const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");
  return throwingParser({
    name: "x509_certificate",
    inputs: damagedText(
      [...leaves, authority.der].map((der) => Buffer.from(der).toString("latin1")),
    ),
    parse: (text) => {
      const chain = parsePresentedChain([bytesOf(text)]);
      const certificate = decodeCertificate(chain.leaf.x509);
      const id = checkLeaf(certificate, "client");
      // Whose bundle is looked at, by OpenSSL's text, is that of the id that is decoded after it.
      strictEqual(chain.claimedTrustDomain, id.trustDomain);
      return { certificate, id };
    },
    isOwn: (error) => error instanceof Refusal,
    again: ({ certificate, id }, text) => {
      deepStrictEqual(Buffer.from(certificate.x509.raw), bytesOf(text));
      const anew = parseCertificate(certificate.x509.raw);
      deepStrictEqual(checkLeaf(anew, "client"), id);
      deepStrictEqual(anew.keyUsage, certificate.keyUsage);
      deepStrictEqual(anew.alternativeNames, certificate.alternativeNames);
    },
  });
}
