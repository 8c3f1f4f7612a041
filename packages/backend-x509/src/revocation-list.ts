import { AsnConvert, AsnIntegerBigIntConverter } from "@peculiar/asn1-schema";
import {
  CertificateList,
  id_ce_cRLNumber,
  RevokedCertificate,
  TBSCertList,
  Time,
  Version,
} from "@peculiar/asn1-x509";
import { plusSeconds, type EndedLeases, type LeaseId } from "@mayfly/spec";
import type { AuthoritySettings } from "./authority-settings.ts";
import { wholeSeconds, type CertificateAuthority } from "./certificate-authority.ts";
import { serialNumberOf } from "./client-certificate.ts";
import { encodedExtension, exactly, signerIdExtension } from "./extensions.ts";

/**
 * A list of revoked certificates (RFC 5280 section 5), in DER. It says of every lease that it
 * ended, whichever key signed its certificate: serial numbers are the installation's, not a key's.
 */
export async function revocationList(
  authority: CertificateAuthority,
  ended: EndedLeases,
  { crl_seconds: seconds, leeway_seconds: leeway }: AuthoritySettings,
): Promise<Uint8Array> {
  const revoked = ended.leases.map(
    ({ leaseId, endedAt }) =>
      new RevokedCertificate({
        userCertificate: exactly(serialNumberOf(leaseId)),
        revocationDate: new Time(new Date(wholeSeconds(endedAt))),
      }),
  );
  const number = AsnIntegerBigIntConverter.toASN(BigInt(ended.number)).toBER();
  const tbsCertList = new TBSCertList({
    version: Version.v2,
    signature: authority.algorithm,
    issuer: authority.name,
    thisUpdate: new Time(new Date(wholeSeconds(plusSeconds(ended.readAt, -leeway)))),
    nextUpdate: new Time(new Date(wholeSeconds(plusSeconds(ended.readAt, seconds)))),
    // Section 5.1.2.6: absent where there is none.
    ...(revoked.length === 0 ? {} : { revokedCertificates: revoked }),
    crlExtensions: [
      signerIdExtension(authority.keyId),
      encodedExtension(id_ce_cRLNumber, false, new Uint8Array(number)),
    ],
  });
  const bytes = new Uint8Array(AsnConvert.serialize(tbsCertList));
  const list = new CertificateList({
    tbsCertList,
    signatureAlgorithm: authority.algorithm,
    signature: exactly(await authority.key.sign(bytes)),
  });
  return new Uint8Array(AsnConvert.serialize(list));
}

export const serialText = (leaseId: LeaseId): string =>
  Buffer.from(serialNumberOf(leaseId)).toString("hex");
