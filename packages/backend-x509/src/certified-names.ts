import { z } from "zod";

/**
 * Names of RFC 5280 section 4.2.1.6 that a certificate may bear, each in one spelling, so that a
 * server compares them as the role has them.
 */

const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const DNS_NAME = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);
/** RFC 5321 section 4.1.2, without quotes; the domain in lower case. */
const EMAIL = new RegExp(
  `^[A-Za-z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@(?=.{1,253}$)${LABEL}(?:\\.${LABEL})+$`,
);
const IPV4 = /^[0-9.]+$/;
const URI_TEXT = /^[\x21-\x7e]{1,512}$/;

export const dnsName = (): z.ZodString =>
  z.string().regex(DNS_NAME, "expected a DNS name in lower case, without a wildcard");
export const emailAddress = (): z.ZodString =>
  z.string().max(320).regex(EMAIL, "expected an e-mail address, its domain in lower case");
/** With a host, as `spiffe://…` and `https://…` have one. */
export const absoluteUri = (): z.ZodString =>
  z.string().regex(URI_TEXT, "expected a URI of 1 to 512 printable characters").refine(isAbsolute, {
    message: "expected an absolute URI with a host, in its normal form, no port, no fragment",
  });

function isAbsolute(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.hash !== "" || url.username !== "" || url.password !== "") return false;
  // RFC 5280 section 4.2.1.10: constraints are of a DNS name, and so not of an address or a port.
  if (url.port !== "" || !DNS_NAME.test(url.hostname) || IPV4.test(url.hostname)) return false;
  return url.href === text || url.href === `${text}/`;
}

export interface CertifiedNames {
  readonly uris: readonly string[];
  readonly dns_names: readonly string[];
  readonly emails: readonly string[];
}

/** The first name that lies in none of the domains. */
export function nameBeyond(
  { uris, dns_names: names, emails }: CertifiedNames,
  domains: readonly string[],
): string | undefined {
  const isWithin = (host: string): boolean =>
    domains.some((domain) => host === domain || host.endsWith(`.${domain}`));
  return (
    uris.find((uri) => !isWithin(URL.parse(uri)?.hostname ?? "")) ??
    names.find((name) => !isWithin(name)) ??
    emails.find((email) => !isWithin(email.slice(email.lastIndexOf("@") + 1)))
  );
}

/** What stands in a subject: UTF-8 without control characters. */
export const subjectText = (): z.ZodString =>
  z
    .string()
    .min(1)
    .max(64)
    .refine((text) => text.isWellFormed() && !/[[\p{C}\p{Z}]--[ ]]/v.test(text), {
      message: "expected 1 to 64 characters, none of them a control character",
    });
