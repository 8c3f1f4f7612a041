import { CLIENT_NAME } from "@mayfly/spec";
import { z } from "zod";
import { configInvalid, parseStrictly } from "./config-error.ts";
import { commonMembers } from "./trust-config.ts";
import { parseCertificate, type Certificate } from "./x509/certificate.ts";
import { isStrongKey, mayCertify } from "./x509/find-path.ts";
import {
  EXPECTED,
  parseClientSubject,
  SUBJECT_FORMS,
  type ClientSubject,
  type SubjectForm,
} from "./x509/client-subject.ts";

const AUTHORITIES_MAX = 10;
const CLIENTS_MAX = 500;

const member = (form: SubjectForm) =>
  z
    .string()
    .max(2048)
    .refine((text) => parseClientSubject(form, text) !== null, { message: EXPECTED[form] })
    .optional();

const clientSchema = z
  .strictObject({
    client: z
      .string()
      .regex(CLIENT_NAME, "expected 1 to 64 of a-z, 0-9, dots, dashes and underscores")
      .describe("Its client_id is x509:<trust root>#<client>."),
    tls_client_auth_subject_dn: member("tls_client_auth_subject_dn"),
    tls_client_auth_san_dns: member("tls_client_auth_san_dns"),
    tls_client_auth_san_uri: member("tls_client_auth_san_uri"),
    tls_client_auth_san_ip: member("tls_client_auth_san_ip"),
    tls_client_auth_san_email: member("tls_client_auth_san_email"),
  })
  .refine((client) => SUBJECT_FORMS.filter((form) => client[form] !== undefined).length === 1, {
    message: `give exactly one of ${SUBJECT_FORMS.join(", ")} (RFC 8705 section 2.1.2)`,
  });

const schema = z.strictObject({
  authorities: z
    .string()
    .max(65_536)
    .describe("Certificates of the authority in PEM: one, or several while one is replaced."),
  clients: z.array(clientSchema).min(1).max(CLIENTS_MAX),
  identity_max_age_seconds: commonMembers.identity_max_age_seconds,
  proof_of_possession: commonMembers.proof_of_possession,
});
export type X509Config = z.output<typeof schema>;
export const x509ConfigSchema = schema;

/** A parsed configuration with what is made of it. */
interface X509Clients {
  readonly authorities: readonly Certificate[];
  readonly clients: ReadonlyMap<string, ClientSubject>;
}

/** Strict: what could not be verified by, or would be two clients, is refused here. */
export function parseX509Config(root: string, input: unknown): X509Config {
  const config = parseStrictly(schema, root, input);
  readX509Clients(root, config);
  return config;
}

export function readX509Clients(root: string, config: X509Config): X509Clients {
  const clients = new Map<string, ClientSubject>();
  const taken = new Map<string, string>();
  for (const [at, client] of config.clients.entries()) {
    const subject = subjectOf(client);
    if (subject === null) throw configInvalid(root, `clients.${at}`, "expected a subject");
    if (clients.has(client.client)) {
      throw configInvalid(root, `clients.${at}.client`, "another client has this name");
    }
    const key = JSON.stringify(subject);
    const other = taken.get(key);
    if (other !== undefined) {
      const what = `client ${other} has the same: one certificate would be two clients'`;
      throw configInvalid(root, `clients.${at}.${subject.form}`, what);
    }
    clients.set(client.client, subject);
    taken.set(key, client.client);
  }
  return { authorities: readAuthorities(root, config.authorities), clients };
}

function subjectOf(client: X509Config["clients"][number]): ClientSubject | null {
  const form = SUBJECT_FORMS.find((each) => client[each] !== undefined);
  return form === undefined ? null : parseClientSubject(form, client[form] ?? "");
}

/** One way through any text: two that both take spaces would try all ways to share them. */
const PEM = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g;

function readAuthorities(root: string, pem: string): readonly Certificate[] {
  const where = "authorities";
  const found = [...pem.matchAll(PEM)].map(([, base64 = ""]) => Buffer.from(base64, "base64"));
  if (pem.replaceAll(PEM, "").trim() !== "" || found.length === 0) {
    throw configInvalid(root, where, "expected certificates in PEM, and nothing besides");
  }
  if (found.length > AUTHORITIES_MAX) {
    throw configInvalid(root, where, `expected at most ${AUTHORITIES_MAX} certificates`);
  }
  return found.map((der) => {
    const certificate = readCertificate(root, der);
    if (!certificate.isAuthority) {
      throw configInvalid(root, where, "a certificate is no authority's (basicConstraints CA)");
    }
    // No path could end in it: better said now than by refusing each of its clients.
    if (!isStrongKey(certificate.publicKey)) {
      const what =
        "the key of a certificate is none that counts: RSA of 2048 bits, P-256 or better";
      throw configInvalid(root, where, what);
    }
    if (!mayCertify(certificate, "client")) {
      throw configInvalid(root, where, "an authority may not certify clients, by its key usages");
    }
    return certificate;
  });
}

function readCertificate(root: string, der: Uint8Array): Certificate {
  try {
    return parseCertificate(der);
  } catch (error) {
    const why = error instanceof Error ? error.message : "a certificate cannot be read";
    throw configInvalid(root, "authorities", why);
  }
}
