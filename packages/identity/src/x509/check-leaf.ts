import { parseSpiffeId, type SpiffeId } from "@mayfly/spec";
import { KeyUsageFlags } from "@peculiar/asn1-x509";
import { Refusal } from "../refusal.ts";
import type { Certificate } from "./certificate.ts";
import { PURPOSES, type Purpose } from "./purpose.ts";

/**
 * The SPIFFE ID of a certificate (X509-SVID section 2): the one name of type URI among its
 * alternative names. Names of other types may stand beside it and say nothing, whatever their text
 * looks like. Throws a Refusal `subject`.
 */
function spiffeIdOf(certificate: Certificate): SpiffeId {
  const uris = (certificate.alternativeNames?.names ?? []).flatMap(
    ({ uniformResourceIdentifier: uri }) => uri ?? [],
  );
  const [uri, ...others] = uris;
  if (uri === undefined) throw new Refusal("subject", "the certificate names no URI");
  if (others.length > 0) throw new Refusal("subject", "the certificate names several URIs");
  const id = parseSpiffeId(uri);
  if (id === null) throw new Refusal("subject", "the certificate's URI is not a SPIFFE ID");
  return id;
}

const SIGNING = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;

/**
 * X509-SVID sections 4 and 5.2: the leaf is a workload's and no authority's. Throws a Refusal
 * `certificate` or `subject`.
 */
export function checkLeaf(certificate: Certificate, purpose: Purpose): SpiffeId {
  const id = spiffeIdOf(certificate);
  if (id.path === "") throw new Refusal("subject", "the certificate is of no workload");
  if (certificate.isAuthority) throw refused("is an authority's");
  const { keyUsage, extendedKeyUsage, hasSubject, alternativeNames } = certificate;
  if (keyUsage === null) throw refused("has no key usage");
  if ((keyUsage & SIGNING) !== 0) throw refused("may sign certificates or revocation lists");
  if ((keyUsage & KeyUsageFlags.digitalSignature) === 0) throw refused("may not sign");
  if (extendedKeyUsage !== null && !extendedKeyUsage.includes(PURPOSES[purpose])) {
    throw refused(`is not for ${purpose}s`);
  }
  // RFC 5280 section 4.2.1.6.
  if (!hasSubject && alternativeNames?.critical !== true) {
    throw refused("has an empty subject, and its alternative names are not critical");
  }
  return id;
}

const refused = (why: string): Refusal => new Refusal("certificate", `the certificate ${why}`);
