import { X509Certificate, type KeyObject } from "node:crypto";
import { id_kp_clientAuth, id_kp_serverAuth, KeyUsageFlags } from "@peculiar/asn1-x509";
import type { Clock, JsonObject, PresentedIdentity } from "@mayfly/spec";
import {
  signTestCertificate,
  testKeyPair,
  testSubject,
  type TestCertificateContent,
  type TestKeyPair,
} from "./test-certificate.ts";

const DAY_MS = 86_400_000;
const FIVE_MINUTES_MS = 300_000;

export interface TestX509AuthorityOptions {
  readonly clock: Clock;
  /** Default: `acme.test`. */
  readonly trustDomain?: string;
  readonly change?: Partial<TestCertificateContent>;
  readonly keys?: TestKeyPair;
}

export interface TestX509Svid {
  /** DER, leaf first, the root left out. */
  readonly chain: readonly Uint8Array[];
  readonly privateKey: KeyObject;
  readonly presented: PresentedIdentity;
  /** As TLS takes them. */
  readonly pem: { readonly cert: string; readonly key: string };
}

/** An authority of a SPIFFE trust domain, with real keys. */
export interface TestX509Authority {
  readonly der: Uint8Array;
  readonly pem: string;
  /** As a SPIFFE bundle holds it. */
  bundleKey(): JsonObject;
  /** An X509-SVID of `spiffe://<trust domain>/workload`, good for 5 minutes, unless changed. */
  issue(change?: Partial<TestCertificateContent>, keys?: TestKeyPair): TestX509Svid;
  /** An authority below this one: what it issues brings its certificate along. */
  intermediate(change?: Partial<TestCertificateContent>): TestX509Authority;
}

let made = 0;

export function createTestX509Authority(options: TestX509AuthorityOptions): TestX509Authority {
  const keys = options.keys ?? testKeyPair();
  const content = authorityContent(options);
  const der = signTestCertificate(content, keys.publicKey, {
    subject: testSubject(content.subject),
    privateKey: keys.privateKey,
  });
  return authority(options, content, keys, [], der);
}

function authorityContent({
  clock,
  trustDomain = "acme.test",
  change,
}: TestX509AuthorityOptions): TestCertificateContent {
  return {
    subject: `${trustDomain} authority ${++made}`,
    from: clock.now() - DAY_MS,
    until: clock.now() + DAY_MS,
    isAuthority: true,
    keyUsage: KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign,
    extendedKeyUsage: null,
    names: [{ uniformResourceIdentifier: `spiffe://${trustDomain}` }],
    ...change,
  };
}

function authority(
  options: TestX509AuthorityOptions,
  content: TestCertificateContent,
  keys: TestKeyPair,
  above: readonly Uint8Array[],
  der: Uint8Array,
): TestX509Authority {
  const { clock, trustDomain = "acme.test" } = options;
  const signer = { subject: testSubject(content.subject), privateKey: keys.privateKey };
  return {
    der,
    pem: pemOf(der),
    bundleKey: () => ({
      ...Object.fromEntries(
        Object.entries(keys.publicKey.export({ format: "jwk" })).filter(
          (entry): entry is [string, string] => typeof entry[1] === "string",
        ),
      ),
      use: "x509-svid",
      x5c: [Buffer.from(der).toString("base64")],
    }),
    issue: (change, leafKeys = testKeyPair()) => {
      const leaf: TestCertificateContent = {
        subject: "workload",
        from: clock.now() - 10_000,
        until: clock.now() + FIVE_MINUTES_MS,
        isAuthority: false,
        keyUsage: KeyUsageFlags.digitalSignature,
        extendedKeyUsage: [id_kp_clientAuth, id_kp_serverAuth],
        names: [{ uniformResourceIdentifier: `spiffe://${trustDomain}/workload` }],
        ...change,
      };
      const chain = [signTestCertificate(leaf, leafKeys.publicKey, signer), ...above];
      return {
        chain,
        privateKey: leafKeys.privateKey,
        presented: { kind: "x509", chain },
        pem: {
          cert: chain.map(pemOf).join(""),
          key: String(leafKeys.privateKey.export({ format: "pem", type: "pkcs8" })),
        },
      };
    },
    intermediate: (change) => {
      const below = authorityContent({ ...options, change: change ?? {} });
      const belowKeys = testKeyPair();
      const belowDer = signTestCertificate(below, belowKeys.publicKey, signer);
      return authority(options, below, belowKeys, [belowDer, ...above], belowDer);
    },
  };
}

const pemOf = (der: Uint8Array): string => new X509Certificate(der).toString();
