import { generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyUsage,
  Name,
  type NameConstraints,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
} from "@peculiar/asn1-x509";

/** Names as RFC 5280 section 4.2.1.6 has them: `{ uniformResourceIdentifier: "…" }`. */
export type TestName = Partial<GeneralName>;

/** What a test certificate says; each member can be spoiled alone. */
export interface TestCertificateContent {
  /** Common name, or null for an empty subject. */
  readonly subject: string | null;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
  /** `cA`; null: the extension is left out. */
  readonly isAuthority: boolean | null;
  readonly pathLengthMax?: number;
  /** `KeyUsageFlags`; null: left out. */
  readonly keyUsage: number | null;
  readonly extendedKeyUsage: readonly string[] | null;
  readonly names: readonly TestName[] | null;
  readonly namesCritical?: boolean;
  readonly nameConstraints?: NameConstraints;
  /** Added as they are. */
  readonly extensions?: readonly {
    readonly id: string;
    readonly critical: boolean;
    readonly value: Uint8Array;
  }[];
  readonly digest?: "sha256" | "sha1";
}

/** Who signs: a key, and the subject that its own certificate has. */
export interface TestCertificateSigner {
  readonly subject: Name;
  readonly privateKey: KeyObject;
}
export interface TestKeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export const testKeyPair = (kind: "P-256" | "secp256k1" | "rsa1024" = "P-256"): TestKeyPair =>
  kind === "rsa1024"
    ? generateKeyPairSync("rsa", { modulusLength: 1024 })
    : generateKeyPairSync("ec", { namedCurve: kind });

const COMMON_NAME = "2.5.4.3";

export const testSubject = (commonName: string | null): Name =>
  new Name(
    commonName === null
      ? []
      : [
          new RelativeDistinguishedName([
            new AttributeTypeAndValue({
              type: COMMON_NAME,
              value: new AttributeValue({ utf8String: commonName }),
            }),
          ]),
        ],
  );

/** A real certificate, in DER, that says exactly this, sound or not. */
export function signTestCertificate(
  content: TestCertificateContent,
  publicKey: KeyObject,
  signer: TestCertificateSigner,
): Uint8Array {
  const algorithm = algorithmOf(signer.privateKey, content.digest ?? "sha256");
  const toBeSigned = new TBSCertificate({
    version: 2,
    serialNumber: serialNumber(),
    signature: algorithm,
    issuer: signer.subject,
    validity: new Validity({
      notBefore: new Date(content.from),
      notAfter: new Date(content.until),
    }),
    subject: testSubject(content.subject),
    subjectPublicKeyInfo: AsnConvert.parse(
      publicKey.export({ format: "der", type: "spki" }),
      SubjectPublicKeyInfo,
    ),
    extensions: new Extensions(extensionsOf(content)),
  });
  const bytes = Buffer.from(AsnConvert.serialize(toBeSigned));
  const signature = sign(content.digest ?? "sha256", bytes, signer.privateKey);
  return Buffer.from(
    AsnConvert.serialize(
      new Certificate({
        tbsCertificate: toBeSigned,
        signatureAlgorithm: algorithm,
        signatureValue: exactly(signature),
      }),
    ),
  );
}

/** RFC 5280 section 4.1.2.2: positive, at most 20 octets. */
function serialNumber(): ArrayBuffer {
  return exactly(Buffer.from([0x40, ...randomBytes(15)]));
}

const OIDS = {
  rsa: { sha256: "1.2.840.113549.1.1.11", sha1: "1.2.840.113549.1.1.5" },
  ec: { sha256: "1.2.840.10045.4.3.2", sha1: "1.2.840.10045.4.1" },
} as const;

function algorithmOf(key: KeyObject, digest: "sha256" | "sha1"): AlgorithmIdentifier {
  const isRsa = key.asymmetricKeyType === "rsa";
  return new AlgorithmIdentifier({
    algorithm: OIDS[isRsa ? "rsa" : "ec"][digest],
    ...(isRsa ? { parameters: null } : {}),
  });
}

function extensionsOf(content: TestCertificateContent): Extension[] {
  const { isAuthority, pathLengthMax, keyUsage, extendedKeyUsage, names, nameConstraints } =
    content;
  const constraints = new BasicConstraints({
    cA: isAuthority ?? false,
    ...(pathLengthMax === undefined ? {} : { pathLenConstraint: pathLengthMax }),
  });
  return [
    ...(isAuthority === null ? [] : [extension(id_ce_basicConstraints, true, constraints)]),
    ...(keyUsage === null ? [] : [extension(id_ce_keyUsage, true, new KeyUsage(keyUsage))]),
    ...(extendedKeyUsage === null
      ? []
      : [extension(id_ce_extKeyUsage, false, new ExtendedKeyUsage([...extendedKeyUsage]))]),
    ...(names === null
      ? []
      : [
          extension(
            id_ce_subjectAltName,
            content.namesCritical ?? content.subject === null,
            new SubjectAlternativeName(names.map((name) => new GeneralName(name))),
          ),
        ]),
    ...(nameConstraints === undefined
      ? []
      : [extension(id_ce_nameConstraints, true, nameConstraints)]),
    ...(content.extensions ?? []).map(
      ({ id, critical, value }) =>
        new Extension({ extnID: id, critical, extnValue: new OctetString(exactly(value)) }),
    ),
  ];
}

const extension = (id: string, critical: boolean, value: unknown): Extension =>
  new Extension({
    extnID: id,
    critical,
    extnValue: new OctetString(AsnConvert.serialize(value)),
  });

/** The schema writes a view's whole buffer. */
const exactly = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;
