import { createPrivateKey, type KeyObject } from "node:crypto";
import { certificates, ownSecret, tlsMode } from "@mayfly/backend-kit";
import { z } from "zod";

const isUrl = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hash, search } = new URL(text);
  return /^https?:$/.test(protocol) && username + password + hash + search === "";
};

/** The JWS algorithm (RFC 7518, RFC 8037) of a private key; null where we sign with no such. */
export function algorithmOf(key: KeyObject): "EdDSA" | "ES256" | null {
  if (key.asymmetricKeyType === "ed25519") return "EdDSA";
  const { namedCurve } = key.asymmetricKeyDetails ?? {};
  return key.asymmetricKeyType === "ec" && namedCurve === "prime256v1" ? "ES256" : null;
}

function isSigningKey(pem: string): boolean {
  try {
    return algorithmOf(createPrivateKey(pem)) !== null;
  } catch {
    return false;
  }
}

export const minterSettings = z
  .strictObject({
    url: z
      .string()
      .max(1_024)
      .refine(isUrl, { message: "expected a URL without user, query and fragment" })
      .describe(
        "Where the minter answers; each call is a POST to it, and no redirect is followed.",
      ),
    audience: z
      .string()
      .regex(/^[\x21-\x7e]{1,512}$/, "expected 1 to 512 printable characters without a space")
      .optional()
      .describe("What `aud` of each request says. Default: the URL, as it is written."),
    signing_key: z
      .string()
      .max(4_096)
      .refine(isSigningKey, { message: "expected a private key in PEM form: Ed25519 or P-256" })
      .meta({ writeOnly: true })
      .describe("With which requests are signed; the minter has the public key. Ed25519 or P-256."),
    bearer: ownSecret()
      .optional()
      .describe(
        "Sent as `Authorization: Bearer …` too, for a gateway that stands before the minter.",
      ),
    tls: tlsMode(),
    ca: certificates().optional().describe("Certificates to trust instead of the system's, PEM."),
    trial_mint: z
      .boolean()
      .default(true)
      .describe("Whether a self-check mints, probes and ends a credential of the first role."),
    call_seconds_max: z.int().min(1).max(10).default(5).describe("Bound of one call."),
  })
  .refine(({ url, tls }) => (tls === "unsafe_disable") === url.startsWith("http:"), {
    message: "expected https, or http together with tls: unsafe_disable",
    path: ["url"],
  });
export type MinterSettings = z.infer<typeof minterSettings>;
