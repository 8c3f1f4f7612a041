import { AsnConvert } from "@peculiar/asn1-schema";
import {
  BasicConstraints,
  CRLDistributionPoints,
  DistributionPoint,
  DistributionPointName,
  ExtendedKeyUsage,
  Extensions,
  GeneralName,
  id_ce_basicConstraints,
  id_ce_cRLDistributionPoints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_kp_clientAuth,
  KeyUsage,
  KeyUsageFlags,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  Validity,
} from "@peculiar/asn1-x509";
import type { InstantMs, LeaseId } from "@mayfly/spec";
import { signed, wholeSeconds, type CertificateAuthority } from "./certificate-authority.ts";
import { distinguishedName, exactly, extension, signerIdExtension } from "./extensions.ts";
import type { CertificateGrant } from "./role-settings.ts";

export interface CertificateContent {
  readonly leaseId: LeaseId;
  readonly grant: CertificateGrant;
  /** SubjectPublicKeyInfo, in DER. */
  readonly publicKey: Uint8Array;
  readonly from: InstantMs;
  readonly until: InstantMs;
  /** Where the authority's list of revoked certificates is. */
  readonly listUrl: string;
}

/**
 * RFC 5280 section 4.1.2.2: positive, at most 20 octets. Of the lease's id, which is never used
 * twice and has 74 random bits: so whatever lists the lease lists the certificate.
 */
export const serialNumberOf = (leaseId: LeaseId): Uint8Array =>
  Buffer.from(`01${leaseId.slice("lease_".length)}`, "hex");

/** A client's certificate (RFC 5280), in DER. */
export function clientCertificate(
  authority: CertificateAuthority,
  content: CertificateContent,
): Promise<Uint8Array> {
  const { leaseId, grant, publicKey, from, until } = content;
  const subject = distinguishedName([
    ...(grant.organization === null ? [] : [["organization", grant.organization] as const]),
    ["commonName", grant.common_name],
  ]);
  return signed(authority, (algorithm) => ({
    version: 2,
    serialNumber: exactly(serialNumberOf(leaseId)),
    signature: algorithm,
    issuer: authority.name,
    validity: new Validity({
      notBefore: new Date(wholeSeconds(from)),
      notAfter: new Date(wholeSeconds(until)),
    }),
    subject,
    subjectPublicKeyInfo: AsnConvert.parse(exactly(publicKey), SubjectPublicKeyInfo),
    extensions: new Extensions(extensionsOf(authority, content)),
  }));
}

function extensionsOf(authority: CertificateAuthority, { grant, listUrl }: CertificateContent) {
  const names = [
    ...grant.uris.map((uri) => new GeneralName({ uniformResourceIdentifier: uri })),
    ...grant.dns_names.map((dNSName) => new GeneralName({ dNSName })),
    ...grant.emails.map((rfc822Name) => new GeneralName({ rfc822Name })),
  ];
  const list = new DistributionPointName({
    fullName: [new GeneralName({ uniformResourceIdentifier: listUrl })],
  });
  return [
    extension(id_ce_basicConstraints, true, new BasicConstraints({ cA: false })),
    extension(id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.digitalSignature)),
    extension(id_ce_extKeyUsage, false, new ExtendedKeyUsage([id_kp_clientAuth])),
    signerIdExtension(authority.keyId),
    extension(
      id_ce_cRLDistributionPoints,
      false,
      new CRLDistributionPoints([new DistributionPoint({ distributionPoint: list })]),
    ),
    ...(names.length === 0
      ? []
      : [extension(id_ce_subjectAltName, false, new SubjectAlternativeName(names))]),
  ];
}
