import type {
  ClientAssertion,
  ClientAuthentication,
  ClientCertificate,
  PresentedIdentity,
  VerifiedIdentity,
} from "@mayfly/spec";
import { checkAudience } from "./check-audience.ts";
import { parseCompactJwt } from "./parse-compact-jwt.ts";
import type { PresentedClient } from "./presented.ts";
import { invalidIdentity, Refusal } from "./refusal.ts";

/** By the trust roots; `isOfClient`: by those of registered clients alone. */
type Verify = (
  presented: PresentedIdentity | PresentedClient,
  isOfClient: boolean,
) => Promise<VerifiedIdentity>;

/** Throws `invalid_identity`. */
export const verifyClient = (
  client: ClientAuthentication,
  issuer: string,
  verify: Verify,
): Promise<VerifiedIdentity> => {
  switch (client.type) {
    case "spiffe-x509":
      return byCertificate(client, verify);
    case "tls-client": {
      const { chain, clientId } = client;
      return verify({ kind: "x509_client", chain, clientId }, true);
    }
    case "jwt-spiffe":
    case "jwt-bearer":
      return byAssertion(client, issuer, verify);
  }
};

/**
 * draft-ietf-oauth-spiffe-client-auth section 3.2: `client_id` is required, so that nobody is taken
 * for a client by a connection that was made for something else.
 */
async function byCertificate(
  { chain, clientId }: ClientCertificate,
  verify: Verify,
): Promise<VerifiedIdentity> {
  const identity = await verify({ kind: "x509", chain }, false);
  if (identity.workload.subject === clientId) return identity;
  throw refused("subject", "client_id is not the certificate's SPIFFE ID");
}

/**
 * draft-ietf-oauth-spiffe-client-auth section 3.1, and the audience rule of
 * draft-ietf-oauth-rfc7523bis: a token that is addressed to more than the issuer could be passed on
 * by whoever else is named, and one for the token endpoint's URL is for any server that claims it.
 */
async function byAssertion(
  { type, token, clientId, chain }: ClientAssertion,
  issuer: string,
  verify: Verify,
): Promise<VerifiedIdentity> {
  // Of the very bytes that are verified below; nothing is trusted before.
  try {
    checkAudience(parseCompactJwt(token.expose("crypto")).claims, issuer, false);
  } catch (error) {
    throw invalidIdentity(error);
  }
  const identity = await verify({ kind: "jwt", token }, type === "jwt-bearer");
  const { kind, subject } = identity.workload;
  if (type === "jwt-spiffe" && kind !== "spiffe") {
    throw refused("type", "the assertion is no JWT-SVID");
  }
  if (clientId !== null && clientId !== subject) {
    throw refused("subject", "client_id is not the assertion's subject");
  }
  if (chain !== null && chain !== undefined) await requireNoOther(identity, chain, verify);
  return identity;
}

/**
 * Of an assertion and an X509-SVID of one request that name two, one is somebody else's: a client
 * with a key of its own has no SPIFFE ID, so it is never whom the certificate names.
 */
async function requireNoOther(
  { workload }: VerifiedIdentity,
  chain: readonly Uint8Array[],
  verify: Verify,
): Promise<void> {
  // A certificate that no trust root vouches for is there for something else.
  const other = await verify({ kind: "x509", chain }, false).catch(() => null);
  if (other === null || other.workload.subject === workload.subject) return;
  throw refused("subject", "the assertion and the certificate are of two workloads");
}

const refused = (reason: Refusal["reason"], detail: string) =>
  invalidIdentity(new Refusal(reason, detail));
