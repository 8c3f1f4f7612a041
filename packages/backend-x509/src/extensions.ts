import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  Extension,
  id_ce_authorityKeyIdentifier,
  id_ce_subjectKeyIdentifier,
  KeyIdentifier,
  Name,
  RelativeDistinguishedName,
  SubjectKeyIdentifier,
} from "@peculiar/asn1-x509";

/** RFC 5280 appendix A.1. */
const ATTRIBUTES = { commonName: "2.5.4.3", organization: "2.5.4.10", unit: "2.5.4.11" } as const;
export type SubjectAttribute = keyof typeof ATTRIBUTES;

/** A distinguished name of UTF-8 attributes, in their order. */
export const distinguishedName = (
  attributes: readonly (readonly [SubjectAttribute, string])[],
): Name =>
  new Name(
    attributes.map(
      ([type, utf8String]) =>
        new RelativeDistinguishedName([
          new AttributeTypeAndValue({
            type: ATTRIBUTES[type],
            value: new AttributeValue({ utf8String }),
          }),
        ]),
    ),
  );

export const extension = (id: string, critical: boolean, value: unknown): Extension =>
  encodedExtension(id, critical, new Uint8Array(AsnConvert.serialize(value)));

export const encodedExtension = (id: string, critical: boolean, der: Uint8Array): Extension =>
  new Extension({ extnID: id, critical, extnValue: new OctetString(exactly(der)) });

export const keyIdExtension = (keyId: Uint8Array): Extension =>
  extension(id_ce_subjectKeyIdentifier, false, new SubjectKeyIdentifier(exactly(keyId)));

export const signerIdExtension = (keyId: Uint8Array): Extension =>
  extension(
    id_ce_authorityKeyIdentifier,
    false,
    new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(exactly(keyId)) }),
  );

/** The schema writes a view's whole buffer. */
export const exactly = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;

export const pem = (label: "CERTIFICATE" | "X509 CRL", der: Uint8Array): string => {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
};
