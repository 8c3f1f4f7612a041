import { AsnConvert, AsnIntegerBigIntConverter } from "@peculiar/asn1-schema";
import { CertificateList, id_ce_cRLNumber, TBSCertList, Time, Version } from "@peculiar/asn1-x509";
import { plusSeconds, type LeaseId } from "@mayfly/spec";
import type { AuthoritySettings } from "./authority-settings.ts";
import { wholeSeconds, type CertificateAuthority } from "./certificate-authority.ts";
import { serialNumberOf } from "./client-certificate.ts";
import { contentOf, sequence } from "./der-sequence.ts";
import { encodedExtension, exactly, signerIdExtension } from "./extensions.ts";
import type { ListedEntries } from "./listed-entries.ts";

/**
 * A list of revoked certificates (RFC 5280 section 5), in DER. It says of every lease that it
 * ended, whichever key signed its certificate: serial numbers are the installation's, not a key's.
 * The entries, and what was signed, are put in as they are, not encoded again.
 */
export async function revocationList(
  authority: CertificateAuthority,
  { ended, entries }: ListedEntries,
  { crl_seconds: seconds, leeway_seconds: leeway }: AuthoritySettings,
): Promise<Uint8Array> {
  const number = AsnIntegerBigIntConverter.toASN(BigInt(ended.number)).toBER();
  const before = {
    version: Version.v2,
    signature: authority.algorithm,
    issuer: authority.name,
    thisUpdate: new Time(new Date(wholeSeconds(plusSeconds(ended.readAt, -leeway)))),
    nextUpdate: new Time(new Date(wholeSeconds(plusSeconds(ended.readAt, seconds)))),
  };
  const head = contentOf(encoded(new TBSCertList(before)));
  const empty = new TBSCertList({
    ...before,
    crlExtensions: [
      signerIdExtension(authority.keyId),
      encodedExtension(id_ce_cRLNumber, false, new Uint8Array(number)),
    ],
  });
  const extensions = contentOf(encoded(empty)).subarray(head.length);
  // Section 5.1.2.6: absent where there is none.
  const revoked = entries.length === 0 ? [] : [sequence([entries])];
  const signed = sequence([head, ...revoked, extensions]);
  const list = new CertificateList({
    tbsCertList: empty,
    signatureAlgorithm: authority.algorithm,
    signature: exactly(await authority.key.sign(signed)),
  });
  const signature = contentOf(encoded(list)).subarray(encoded(empty).length);
  return sequence([signed, signature]);
}

const encoded = (value: unknown): Uint8Array => new Uint8Array(AsnConvert.serialize(value));

export const serialText = (leaseId: LeaseId): string =>
  Buffer.from(serialNumberOf(leaseId)).toString("hex");
