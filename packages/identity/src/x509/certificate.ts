import { X509Certificate, type KeyObject } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import {
  BasicConstraints,
  Certificate as CertificateSchema,
  ExtendedKeyUsage,
  KeyUsage,
  NameConstraints,
  SubjectAlternativeName,
  id_ce_basicConstraints,
  id_ce_certificatePolicies,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
  type Extension,
  type AttributeTypeAndValue,
  type GeneralName,
} from "@peculiar/asn1-x509";
import { instantMs, type InstantMs } from "@mayfly/spec";
import { Refusal } from "../refusal.ts";

/** What is read of one certificate. Nothing of it is verified. */
export interface Certificate {
  /** OpenSSL's view, for signatures and who issued whom. */
  readonly x509: X509Certificate;
  /** RFC 5280 section 4.1.2.5, read once: OpenSSL's view writes and reads a date at each look. */
  readonly notBefore: InstantMs;
  readonly notAfter: InstantMs;
  readonly publicKey: KeyObject;
  /** RFC 5280 section 4.1.1.2, as a dotted OID. */
  readonly signatureAlgorithm: string;
  readonly hasSubject: boolean;
  /** The subject's name, the most general part first; each part is of one attribute or of more. */
  readonly subject: readonly (readonly SubjectAttribute[])[];
  readonly isAuthority: boolean;
  /** RFC 5280 section 4.2.1.9, or null. */
  readonly pathLengthMax: number | null;
  /** Bits as `KeyUsageFlags` has them, or null where the extension is absent. */
  readonly keyUsage: number | null;
  /** Dotted OIDs, or null where the extension is absent. */
  readonly extendedKeyUsage: readonly string[] | null;
  readonly alternativeNames: {
    readonly critical: boolean;
    readonly names: readonly GeneralName[];
  } | null;
  readonly nameConstraints: NameConstraints | null;
}

interface SubjectAttribute {
  /** A dotted OID. */
  readonly type: string;
  /** Null where it is in none of the encodings that are in use. */
  readonly text: string | null;
}

/** The largest in use are below 4 KiB. */
export const CERTIFICATE_BYTES_MAX = 16 * 1024;
const EXTENSIONS_MAX = 32;
/** Nine bits have names (RFC 5280 section 4.2.1.3); the reader takes a fifth byte for the first. */
const KEY_USAGE_BYTES_MAX = 2;
const VERSION_3 = 2;

/** RFC 5280 section 4.2: a critical extension that is not understood refuses the certificate. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  id_ce_basicConstraints,
  // No policy is asked for here, so each is acceptable (RFC 5280 section 6.1.1 c).
  id_ce_certificatePolicies,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
]);

/**
 * One certificate in DER, bounded in size before anything is decoded. What is read here must be
 * written again byte for byte, so that two readers never see two certificates. Throws a Refusal
 * without a word of the content.
 */
export const parseCertificate = (der: Uint8Array): Certificate =>
  decodeCertificate(openCertificate(der));

/** OpenSSL's view alone, which costs a thirtieth of all of it. Throws a Refusal. */
export function openCertificate(der: Uint8Array): X509Certificate {
  if (der.byteLength > CERTIFICATE_BYTES_MAX) {
    throw new Refusal("too_large", `a certificate is longer than ${CERTIFICATE_BYTES_MAX} bytes`);
  }
  return orMalformed(() => {
    const x509 = new X509Certificate(der);
    if (!x509.raw.equals(der)) throw new Refusal("malformed", "something follows a certificate");
    return x509;
  });
}

/** Throws a Refusal. */
export const decodeCertificate = (x509: X509Certificate): Certificate =>
  orMalformed(() => read(x509));

function orMalformed<T>(reads: () => T): T {
  try {
    return reads();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    // What a parser says may quote its input: it is dropped, not kept as a cause.
    throw new Refusal("malformed", "a certificate is not X.509 in DER");
  }
}

function read(x509: X509Certificate): Certificate {
  const der = x509.raw;
  const { tbsCertificate: tbs, signatureAlgorithm } = AsnConvert.parse(der, CertificateSchema);
  if (signatureAlgorithm.algorithm !== tbs.signature.algorithm) {
    throw new Refusal("malformed", "a certificate names two signature algorithms");
  }
  const extensions = [...(tbs.extensions ?? [])];
  if (extensions.length > 0 && tbs.version !== VERSION_3) {
    throw new Refusal("malformed", "extensions need a certificate of version 3");
  }
  checkExtensions(extensions);
  const usage = valueOf(extensions, id_ce_keyUsage, KeyUsage);
  const constraints = valueOf(extensions, id_ce_basicConstraints, BasicConstraints);
  const names = valueOf(extensions, id_ce_subjectAltName, SubjectAlternativeName);
  const purposes = valueOf(extensions, id_ce_extKeyUsage, ExtendedKeyUsage);
  return {
    x509,
    notBefore: instantMs(x509.validFromDate.getTime()),
    notAfter: instantMs(x509.validToDate.getTime()),
    // Decoded here, where a key that is none makes the certificate none.
    publicKey: x509.publicKey,
    signatureAlgorithm: signatureAlgorithm.algorithm,
    hasSubject: tbs.subject.length > 0,
    subject: tbs.subject.map((part) => part.map(attributeOf)),
    isAuthority: constraints?.cA ?? false,
    pathLengthMax: constraints?.pathLenConstraint ?? null,
    keyUsage: usage === null ? null : bitsOf(usage),
    extendedKeyUsage: purposes === null ? null : [...purposes],
    alternativeNames:
      names === null
        ? null
        : { critical: isCritical(extensions, id_ce_subjectAltName), names: [...names] },
    nameConstraints: valueOf(extensions, id_ce_nameConstraints, NameConstraints),
  };
}

/**
 * X.690 section 11.2.2: bits that have names end with the last one that is set, so that one usage
 * has one spelling. The schema's reader takes any number of bits beyond it.
 */
function bitsOf(usage: KeyUsage): number {
  const last = new Uint8Array(usage.value).at(-1) ?? 0;
  // The lowest bit that is used is set, and those below it, which are not, are zero (11.2.1).
  const endsWell = (last & ((2 << usage.unusedBits) - 1)) === 1 << usage.unusedBits;
  if (!endsWell || usage.value.byteLength > KEY_USAGE_BYTES_MAX) {
    throw new Refusal("malformed", "the key usage of a certificate is not in DER");
  }
  return usage.toNumber();
}

const attributeOf = ({ type, value }: AttributeTypeAndValue): SubjectAttribute => ({
  type,
  text: value.utf8String ?? value.printableString ?? value.ia5String ?? null,
});

/** RFC 5280 section 4.2: one of each kind, and none that is critical and unknown here. */
function checkExtensions(extensions: readonly Extension[]): void {
  if (extensions.length > EXTENSIONS_MAX) {
    throw new Refusal("malformed", `a certificate has more than ${EXTENSIONS_MAX} extensions`);
  }
  if (new Set(extensions.map(({ extnID }) => extnID)).size !== extensions.length) {
    throw new Refusal("malformed", "a certificate has one extension twice");
  }
  if (extensions.some(({ critical, extnID }) => critical && !UNDERSTOOD.has(extnID))) {
    throw new Refusal("certificate", "a critical extension of a certificate is not understood");
  }
}

const isCritical = (extensions: readonly Extension[], id: string): boolean =>
  extensions.some(({ extnID, critical }) => extnID === id && critical);

/** Null where there is no such extension. Refuses what is not the DER of its value. */
function valueOf<T>(extensions: readonly Extension[], id: string, type: new () => T): T | null {
  const found = extensions.find(({ extnID }) => extnID === id);
  if (found === undefined) return null;
  const der = Buffer.from(found.extnValue.buffer);
  const value = AsnConvert.parse(der, type);
  if (!Buffer.from(AsnConvert.serialize(value)).equals(der)) {
    throw new Refusal("malformed", "an extension of a certificate is not in DER");
  }
  return value;
}
