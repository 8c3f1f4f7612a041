import { createHash, createPublicKey } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  BasicConstraints,
  Certificate,
  Extensions,
  GeneralName,
  GeneralSubtree,
  GeneralSubtrees,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  KeyUsage,
  KeyUsageFlags,
  type Name,
  NameConstraints,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
} from "@peculiar/asn1-x509";
import type { AuthorityKey, BackendHost } from "@mayfly/spec";
import {
  distinguishedName,
  exactly,
  extension,
  keyIdExtension,
  signerIdExtension,
} from "./extensions.ts";

/** A key of the backend as an authority of RFC 5280: its name, and what it signs with. */
export interface CertificateAuthority {
  readonly key: AuthorityKey;
  readonly name: Name;
  readonly publicKey: SubjectPublicKeyInfo;
  /** RFC 7093 section 2, method 1. */
  readonly keyId: Uint8Array;
  readonly algorithm: AlgorithmIdentifier;
}

/** RFC 8017 appendix A.2.4, RFC 8410 section 3, RFC 5758 section 3.2. */
const ALGORITHMS = {
  RS256: () => new AlgorithmIdentifier({ algorithm: "1.2.840.113549.1.1.11", parameters: null }),
  EdDSA: () => new AlgorithmIdentifier({ algorithm: "1.3.101.112" }),
  ES256: () => new AlgorithmIdentifier({ algorithm: "1.2.840.10045.4.3.2" }),
} as const;

/** Each key has a name of its own, so that no list of one is taken for another's. */
export function authorityOf(
  { installation, backendId }: Pick<BackendHost, "installation" | "backendId">,
  key: AuthorityKey,
): CertificateAuthority {
  const spki = createPublicKey({ key: { ...key.publicJwk }, format: "jwk" }).export({
    format: "der",
    type: "spki",
  });
  const publicKey = AsnConvert.parse(exactly(spki), SubjectPublicKeyInfo);
  const keyId = sha256(Buffer.from(publicKey.subjectPublicKey)).subarray(0, 20);
  const name = distinguishedName([
    ["organization", `Mayfly ${installation}`],
    ["unit", backendId],
    ["commonName", `authority ${hex(keyId)}`],
  ]);
  return { key, name, publicKey, keyId, algorithm: ALGORITHMS[key.algorithm]() };
}

/** Part of the names of its documents. */
export const authorityId = ({ keyId }: CertificateAuthority): string => hex(keyId);

/** A key signs for a month, and what it signed dies within the hour. */
const LIFE_MS = 366 * 86_400_000;
const BEFORE_MS = 3_600_000;

/**
 * Its own certificate, which servers trust. Made of what is stored of the key alone, and signed
 * without randomness, so that it is the same in every process and at any time.
 */
export async function authorityCertificate(
  authority: CertificateAuthority,
  domains: readonly string[],
): Promise<Uint8Array> {
  const { key, name, publicKey, keyId } = authority;
  return signed(authority, (algorithm) => ({
    version: 2,
    serialNumber: exactly(Buffer.concat([Buffer.from([1]), sha256(keyId).subarray(0, 16)])),
    signature: algorithm,
    issuer: name,
    validity: new Validity({
      notBefore: new Date(wholeSeconds(key.createdAt - BEFORE_MS)),
      notAfter: new Date(wholeSeconds(key.createdAt + LIFE_MS)),
    }),
    subject: name,
    subjectPublicKeyInfo: publicKey,
    extensions: new Extensions([
      extension(
        id_ce_basicConstraints,
        true,
        new BasicConstraints({ cA: true, pathLenConstraint: 0 }),
      ),
      extension(
        id_ce_keyUsage,
        true,
        new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign),
      ),
      keyIdExtension(keyId),
      signerIdExtension(keyId),
      extension(
        id_ce_nameConstraints,
        true,
        new NameConstraints({ permittedSubtrees: new GeneralSubtrees(domains.flatMap(subtrees)) }),
      ),
    ]),
  }));
}

/** RFC 5280 section 4.2.1.10: of hosts and mail, a domain and what is below it are said apart. */
const subtrees = (domain: string): GeneralSubtree[] =>
  [
    { dNSName: domain },
    ...[domain, `.${domain}`].flatMap((each) => [
      { uniformResourceIdentifier: each },
      { rfc822Name: each },
    ]),
  ].map((base) => new GeneralSubtree({ base: new GeneralName(base) }));

export const authorityExpiresAt = ({ key }: CertificateAuthority): number =>
  wholeSeconds(key.createdAt + LIFE_MS);

/** A certificate of this authority, in DER. */
export async function signed(
  { key, algorithm }: CertificateAuthority,
  content: (algorithm: AlgorithmIdentifier) => Partial<TBSCertificate>,
): Promise<Uint8Array> {
  const tbsCertificate = new TBSCertificate(content(algorithm));
  const bytes = new Uint8Array(AsnConvert.serialize(tbsCertificate));
  const signatureValue = exactly(await key.sign(bytes));
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue,
  });
  return new Uint8Array(AsnConvert.serialize(certificate));
}

/** RFC 5280 has no fractions of a second. */
export const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000;

const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
