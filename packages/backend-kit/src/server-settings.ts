import { X509Certificate } from "node:crypto";
import { checkServerIdentity } from "node:tls";
import { z } from "zod";
import { PEM_MEDIA_TYPE } from "./describe-settings.ts";

/** Members that most configurations of a server have, with one meaning in all of them. */

const HOST = /^[A-Za-z0-9._:%-]{1,253}$/;
export const serverHost = (): z.ZodString =>
  z.string().regex(HOST, "expected a host name or an IP address");

/** {@link serverHost} of an API over HTTP, of which a URL can be made: without a zone (`%eth0`). */
export const apiHost = (): z.ZodString =>
  serverHost().refine(isUrlHost, { message: "expected a host name or an IP address of a URL" });
const isUrlHost = (host: string): boolean =>
  !host.includes("%") && URL.canParse(`http://${inUrl(host)}`);
/** RFC 3986 section 3.2.2. */
const inUrl = (host: string): string => (host.includes(":") ? `[${host}]` : host);

/** Of an {@link apiHost}. */
export const apiOrigin = (
  { host, port }: { readonly host: string; readonly port: number },
  tls: ServerTls | false,
): string => `${tls === false ? "http" : "https"}://${inUrl(host)}:${port}`;

export const serverPort = (): z.ZodInt => z.int().min(1).max(65_535);

/** A password or token of the broker's own: at most 1,024 characters, no NUL. */
export const ownSecret = (): z.ZodString =>
  z
    .string()
    .min(1)
    .max(1_024)
    .refine((text) => !text.includes("\0"), { message: "expected a text without NUL" })
    .meta({ writeOnly: true });

export const TLS_MODES = ["verify-full", "unsafe_require_unverified", "unsafe_disable"] as const;
export type TlsMode = (typeof TLS_MODES)[number];
export const tlsMode = (): z.ZodDefault<z.ZodEnum<{ [Mode in TlsMode]: Mode }>> =>
  z
    .enum(TLS_MODES)
    .default("verify-full")
    .describe(
      "verify-full checks certificate and host name. unsafe_require_unverified encrypts but " +
        "trusts anybody who answers. unsafe_disable sends everything in the clear.",
    );

export const certificates = (): z.ZodString =>
  z
    .string()
    .max(65_536)
    .refine(isCertificate, { message: "expected one or more certificates in PEM form" })
    .meta({ contentMediaType: PEM_MEDIA_TYPE });
function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject.length >= 0;
  } catch {
    return false;
  }
}

/** How the broker makes itself known to a server, and knows it: members of a configuration. */
export const serverAccess = () =>
  ({
    password: ownSecret(),
    tls: tlsMode(),
    ca: certificates().optional().describe("Certificates to trust instead of the system's, PEM."),
  }) as const;

/** For Node's `tls.connect` and the drivers that hand their options to it; false: no TLS. */
export interface ServerTls {
  readonly rejectUnauthorized: boolean;
  readonly checkServerIdentity?: typeof checkServerIdentity;
  readonly ca?: string;
}

export function serverTls(
  settings: { readonly tls: TlsMode; readonly ca?: string | undefined },
  host: string,
): ServerTls | false {
  switch (settings.tls) {
    case "unsafe_disable":
      return false;
    case "unsafe_require_unverified":
      return { rejectUnauthorized: false };
    case "verify-full":
      return {
        rejectUnauthorized: true,
        // Node compares with "localhost" when it is handed a socket to an IP address.
        checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
        ...(settings.ca === undefined ? {} : { ca: settings.ca }),
      };
  }
}
