import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { CertificationRequest } from "@peculiar/asn1-csr";
import { InvalidInput } from "@mayfly/spec";

const CHARACTERS_MAX = 8_192;
const LABEL = "(?:NEW )?CERTIFICATE REQUEST";
const PEM = new RegExp(
  String.raw`^\s*-----BEGIN ${LABEL}-----\s+([A-Za-z0-9+/=\s]+)-----END ${LABEL}-----\s*$`,
);

/** RFC 5758, RFC 4055 section 5, RFC 8410: what signed the request, as Node calls it. */
const DIGESTS: ReadonlyMap<string, string | null> = new Map([
  ["1.2.840.10045.4.3.2", "sha256"],
  ["1.2.840.10045.4.3.3", "sha384"],
  ["1.2.840.10045.4.3.4", "sha512"],
  ["1.2.840.113549.1.1.11", "sha256"],
  ["1.2.840.113549.1.1.12", "sha384"],
  ["1.2.840.113549.1.1.13", "sha512"],
  ["1.3.101.112", null],
]);
const RSA_BITS = { min: 2_048, max: 4_096 } as const;

/**
 * The public key (SubjectPublicKeyInfo, DER) of a certification request (RFC 2986, PEM) whose
 * signature shows that whoever made it holds the private one. What else it asks for, names above
 * all, counts for nothing. Throws {@link InvalidInput}, which quotes nothing of it.
 */
export function requestedKey(pem: string, where: string): Uint8Array {
  const refuse = (why: string): InvalidInput => new InvalidInput(`${where}: ${why}`, { where });
  const [, base64] = pem.length > CHARACTERS_MAX ? [] : (PEM.exec(pem) ?? []);
  if (base64 === undefined) {
    throw refuse(
      `expected one certificate request in PEM form, at most ${CHARACTERS_MAX} characters`,
    );
  }
  const request = parsed(Buffer.from(base64, "base64"));
  if (request === null) throw refuse("no certificate request of RFC 2986");
  const { key, spki, signed, signature, digest } = request;
  if (digest === undefined || !isAllowed(key)) {
    throw refuse(
      "expected a key of P-256, P-384, Ed25519 or RSA of 2,048 to 4,096 bits, and a signature by it " +
        "with SHA-256, 384 or 512",
    );
  }
  if (!verifies(digest, signed, key, signature)) {
    throw refuse("the request is not signed by its own key");
  }
  return spki;
}

function parsed(der: Uint8Array) {
  try {
    const request = AsnConvert.parse(Uint8Array.from(der).buffer, CertificationRequest);
    const { certificationRequestInfo: info, certificationRequestInfoRaw: raw } = request;
    if (raw === undefined) return null;
    const given = AsnConvert.serialize(info.subjectPKInfo);
    const key = createPublicKey({ key: Buffer.from(given), format: "der", type: "spki" });
    return {
      key,
      // As Node writes it: one spelling, without whatever else was in its parameters.
      spki: key.export({ format: "der", type: "spki" }),
      signed: Buffer.from(raw),
      signature: Buffer.from(request.signature),
      digest: DIGESTS.get(request.signatureAlgorithm.algorithm),
    };
  } catch {
    return null;
  }
}

function isAllowed(key: KeyObject): boolean {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "ed25519":
      return true;
    case "ec":
      return namedCurve === "prime256v1" || namedCurve === "secp384r1";
    case "rsa":
      return (
        modulusLength !== undefined &&
        modulusLength >= RSA_BITS.min &&
        modulusLength <= RSA_BITS.max
      );
    default:
      return false;
  }
}

function verifies(
  digest: string | null,
  signed: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  try {
    return verify(digest, signed, key, signature);
  } catch {
    return false;
  }
}
