import type { ClientAssertion, Secret, VerifiedIdentity } from "@mayfly/spec";
import { checkAudience } from "./check-audience.ts";
import { parseCompactJwt } from "./parse-compact-jwt.ts";
import { invalidIdentity, Refusal } from "./refusal.ts";

/**
 * draft-ietf-oauth-spiffe-client-auth section 3.1, and the audience rule of
 * draft-ietf-oauth-rfc7523bis: a token that is addressed to more than the issuer could be passed on
 * by whoever else is named, and one for the token endpoint's URL is for any server that claims it.
 */
export async function verifyClient(
  { type, token, clientId }: ClientAssertion,
  issuer: string,
  verify: (token: Secret) => Promise<VerifiedIdentity>,
): Promise<VerifiedIdentity> {
  // Of the very bytes that are verified below; nothing is trusted before.
  try {
    checkAudience(parseCompactJwt(token.expose("crypto")).claims, issuer, false);
  } catch (error) {
    throw invalidIdentity(error);
  }
  const identity = await verify(token);
  const { kind, subject } = identity.workload;
  if (type === "jwt-spiffe" && kind !== "spiffe") {
    throw refused("type", "the assertion is no JWT-SVID");
  }
  if (clientId !== null && clientId !== subject) {
    throw refused("subject", "client_id is not the assertion's subject");
  }
  return identity;
}

const refused = (reason: Refusal["reason"], detail: string) =>
  invalidIdentity(new Refusal(reason, detail));
