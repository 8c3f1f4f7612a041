import { isIP } from "node:net";
import type { GeneralName } from "@peculiar/asn1-x509";
import type { Certificate } from "./certificate.ts";
import { isNameOf, parseDistinguishedName, type DistinguishedName } from "./distinguished-name.ts";

/** RFC 8705 section 2.1.2: by which of its names a client is known. */
export const SUBJECT_FORMS = [
  "tls_client_auth_subject_dn",
  "tls_client_auth_san_dns",
  "tls_client_auth_san_uri",
  "tls_client_auth_san_ip",
  "tls_client_auth_san_email",
] as const;
export type SubjectForm = (typeof SUBJECT_FORMS)[number];

/** What a client's certificate has to say, in the form that comparing needs. */
export type ClientSubject =
  | { readonly form: "tls_client_auth_subject_dn"; readonly name: DistinguishedName }
  | { readonly form: Exclude<SubjectForm, "tls_client_auth_subject_dn">; readonly text: string };

const HOST =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** Null for what no name of this form is, or what is no client's here; with what is expected. */
export function parseClientSubject(form: SubjectForm, text: string): ClientSubject | null {
  switch (form) {
    case "tls_client_auth_subject_dn": {
      const name = parseDistinguishedName(text);
      return name === null ? null : { form, name };
    }
    case "tls_client_auth_san_dns":
      return HOST.test(text) ? { form, text } : null;
    case "tls_client_auth_san_uri":
      return isUri(text) && !isSpiffe(text) ? { form, text } : null;
    case "tls_client_auth_san_ip": {
      const address = canonicalAddress(text);
      return address === null ? null : { form, text: address };
    }
    case "tls_client_auth_san_email": {
      const [local = "", host = "", ...more] = text.split("@");
      const isAddress = /^[\x21-\x7e]{1,64}$/.test(local) && HOST.test(host) && more.length === 0;
      return isAddress ? { form, text } : null;
    }
  }
}

export const EXPECTED: Readonly<Record<SubjectForm, string>> = {
  tls_client_auth_subject_dn:
    "expected a name as RFC 4514 writes it, such as CN=batch,O=Acme: most specific part first",
  tls_client_auth_san_dns: "expected a DNS name in lower case, without a star",
  tls_client_auth_san_uri: "expected an absolute URI; a SPIFFE ID is a trust root's of kind spiffe",
  tls_client_auth_san_ip: "expected an IPv4 or IPv6 address",
  tls_client_auth_san_email: "expected a mail address, its host in lower case",
};

const isUri = (text: string): boolean =>
  text.length <= 2048 && /^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i.test(text) && URL.canParse(text);

/** Whatever an authority writes there is a workload's of a trust domain, and vouched for there. */
export const isSpiffe = (uri: string): boolean => /^\s*spiffe:/i.test(uri);

/** One text for one address; null for what is none. */
function canonicalAddress(text: string): string | null {
  switch (isIP(text)) {
    case 4:
      return text;
    case 6:
      // A zone says on which link, and no certificate has one.
      return text.includes("%") ? null : new URL(`http://[${text}]`).hostname;
    default:
      return null;
  }
}

/** The alternative names of one form, as text. */
const NAMES: Readonly<
  Record<Exclude<SubjectForm, "tls_client_auth_subject_dn">, (name: GeneralName) => string | null>
> = {
  // RFC 5280 section 7.2: of a DNS name case says nothing.
  tls_client_auth_san_dns: ({ dNSName }) => dNSName?.toLowerCase() ?? null,
  tls_client_auth_san_uri: ({ uniformResourceIdentifier: uri }) => uri ?? null,
  tls_client_auth_san_ip: ({ iPAddress }) =>
    iPAddress === undefined ? null : (canonicalAddress(iPAddress) ?? ""),
  tls_client_auth_san_email: ({ rfc822Name }) => rfc822Name ?? null,
};

/**
 * Whether the certificate says just this: of the form by which the client is known it has one name
 * and no other, so that no certificate is two clients'. A star is compared as a star.
 */
export function isSubjectOf(subject: ClientSubject, certificate: Certificate): boolean {
  if (subject.form === "tls_client_auth_subject_dn") return isNameOf(subject.name, certificate);
  const read = NAMES[subject.form];
  const names = (certificate.alternativeNames?.names ?? []).flatMap((name) => read(name) ?? []);
  const [only, ...others] = names;
  return only === subject.text && others.length === 0;
}
