import { parseCertificate, type Certificate } from "./certificate.ts";

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** A certificate as `x5c` holds one (RFC 7517 section 4.7); null where it is no authority. */
export function readAuthority(base64: string): Certificate | null {
  if (!BASE64.test(base64)) return null;
  try {
    const certificate = parseCertificate(Buffer.from(base64, "base64"));
    return certificate.isAuthority ? certificate : null;
  } catch {
    return null;
  }
}
